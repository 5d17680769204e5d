"""One small study, and its page, for every test of the report."""

from pathlib import Path
from typing import Any

import pytest
from made_study import make_study
from rendered import render


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder and the params of a study with one budget; tests that change a file copy it."""
    root = tmp_path_factory.mktemp("study")
    return root, make_study(root)


@pytest.fixture(scope="session")
def html(study: tuple[Path, dict[str, Any]]) -> str:
    return render(*study)
