"""Thin Prefect flows over DVC's stages. DVC decides what is stale; Prefect decides when, and who sees it."""
