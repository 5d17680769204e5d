"""What two trainings of the same replicates say: by hand, and the page as the committed accuracies have it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks import processors


def test_parts_by_hand() -> None:
    here, there = pd.DataFrame({"real": [1.0, 2.0, 3.0]}), pd.DataFrame({"real": [2.0, 2.0, 5.0]})
    (parts,) = processors.trainings_to_parts(here, there).to_dict("records")
    # moved by 1, 0 and 2: mean 1, standard deviation 1
    expected = {"here": 2, "there": 3, "moved": 1, "error": 3**-0.5, "training": 2**-0.5, "replicates": 2**0.5}
    assert parts == pytest.approx(expected)  # variances over replicates 1 and 3: 2 in the mean


def test_several_trainings_by_hand() -> None:
    tables = [pd.DataFrame({"real": values}) for values in ([1.0, 5.0], [2.0, 5.0], [3.0, 8.0])]
    (parts,) = processors.roundings_to_parts(tables).to_dict("records")
    assert parts == pytest.approx({0: 3, 1: 3.5, 2: 5.5, "training": 2**0.5})  # variances 1 and 3 of the replicates


def test_the_page_has_the_committed_accuracies(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "calibration.md"
    page.write_bytes((root / processors.PAGE).read_bytes())
    monkeypatch.chdir(root)
    monkeypatch.setattr(processors, "PAGE", page)
    monkeypatch.setattr("sys.argv", ["processors"])
    processors.main()
    assert page.read_bytes() == (root / processors.PAGE).read_bytes()
    assert page.read_text().count("| `real+gan` over `real` | 0.89 | 1.06 |") == 1
