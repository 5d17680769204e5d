"""A toy study, and one temporary Prefect server for all the tests of flows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.testing.utilities import prefect_test_harness
from toy_study import make_toy


@pytest.fixture(scope="session")
def prefect() -> Iterator[None]:
    # Its telemetry would try to call home, and locks the server's SQLite while the tests begin.
    quiet = temporary_settings({PREFECT_SERVER_ANALYTICS_ENABLED: False})
    with quiet, prefect_test_harness(server_startup_timeout=300):
        yield


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed toy study, never reproduced, for the tests of one module in their order."""
    return make_toy(tmp_path_factory.mktemp("toy") / "toy")


@pytest.fixture
def here(toy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy study as the present folder."""
    monkeypatch.chdir(toy)
    return toy
