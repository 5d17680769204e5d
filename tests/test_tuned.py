"""The tables of docs/tuning.md: as the page has them, from the rows that are committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import tuned
from pipeline.trials import TRIALS, read_trials


def test_the_page_has_the_committed_rows(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "tuning.md"
    page.write_bytes((root / tuned.PAGE).read_bytes())
    monkeypatch.chdir(root)
    monkeypatch.setattr(tuned, "PAGE", page)
    monkeypatch.setattr("sys.argv", ["tuned"])
    assert tuned.main() == 0
    assert page.read_bytes() == (root / tuned.PAGE).read_bytes()
    rows = [line for line in page.read_text().splitlines() if line.startswith("| `real` |")]
    assert len(rows) == len(tuned.REGIMES) and all(row.count("**") == 2 for row in rows)  # one best setting each


def test_a_regime_without_rows_is_one_line(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (root / TRIALS).read_text().splitlines(keepends=True)
    short = tmp_path / "tuning.csv"
    short.write_text(lines[0] + "".join(line for line in lines[1:] if ",blurred," not in line))
    monkeypatch.chdir(root)
    monkeypatch.setattr(tuned, "read_trials", lambda: read_trials(short))
    monkeypatch.setattr("sys.argv", ["tuned"])
    before = (root / tuned.PAGE).read_bytes()
    assert tuned.main() == 2 and (root / tuned.PAGE).read_bytes() == before
    said = capsys.readouterr().err
    assert "no rows of blurred" in said and said.count("\n") == 1
