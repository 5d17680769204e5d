"""Thin Prefect flows over DVC's stages. DVC decides what is stale; Prefect decides when, and who sees it."""

import os

# Nobody is called home, not even by the temporary server of `python -m flows.study`: set before Prefect is imported.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
