"""Tables between the words of a Markdown page: what a command measured, where a person says what it means."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pipeline.errors import InputError


def write_blocks(path: Path, blocks: dict[str, str]) -> None:
    """Replace what stands between `<!-- begin NAME -->` and `<!-- end NAME -->`; the words around are a person's."""
    text = path.read_text(encoding="utf-8")
    for name, block in blocks.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        if begin not in text or end not in text:
            raise InputError(f"{path}: no place for {name}; restore it with `git checkout {path}`")
        head, rest = text.split(begin, 1)
        text = f"{head}{begin}\n{block}\n{end}{rest.split(end, 1)[1]}"
    path.write_text(text, encoding="utf-8")


def to_markdown(table: pd.DataFrame) -> str:
    """Cells as they are, index first."""
    names = [str(name) for name in [table.index.name or "", *table.columns]]
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples()])
