"""The one kind of error that is the user's to mend."""


class InputError(ValueError):
    """A mistake in what the user gave: data, params, a command line.

    Its message is one line that names the thing and the remedy; a stage prints it without a traceback and exits with 2.
    """


def one_line(error: object) -> str:
    """An error's text without line breaks."""
    return " ".join(str(error).split())
