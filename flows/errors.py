"""What ends a run for a reason outside this package's code."""


class RunError(RuntimeError):
    """The message is all that a person needs: it says what is wrong. Prefect's log shows it without a traceback."""
