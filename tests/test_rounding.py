"""What counts as the same, and what does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.rounding import files_apart, judged_alike, moved


@pytest.mark.parametrize(
    ("name", "stored", "again", "place", "count"),
    [
        ("a.csv", "x,y\n1,a\n", "x,y\n1,a\n", "", 0),
        ("a.csv", "x,y\n0.123456,a\n,b\n", "x,y\n0.123457,a\n,b\n", "", 0),
        ("a.csv", "x,y\n1,a\n2,b\n", "x,y\n1,a\n2.1,c\n", "line 3, x, is 2 where the predictions give 2.1", 2),
        ("a.csv", "x,y\n1,a\n", "x,y\n,a\n", "line 2, x, is 1 where the predictions give ", 1),
        ("a.csv", "x\n1\n2\n", "x\n1\n", "line 3, x, is 2 where the predictions give nothing", 1),
        ("a.csv", "x\n0\n", "x\n1e-05\n", "line 2, x, is 0 where the predictions give 1e-05", 1),
        ("a.csv", "z\n", "x\n", "the header, is z where the predictions give x", 1),
        ("a.json", '{"a": [1, {"b": 0.1234}]}', '{"a": [1, {"b": 0.1235}]}', "", 0),
        ("a.json", '{"a": [1, {"b": 0.1234}]}', '{"a": [1, {"b": 0.1236}]}', "a, 1, b, is 0.1234 where the ", 1),
        ("a.json", '{"a": null}', '{"a": "yes"}', "a, is None where the predictions give yes", 1),
    ],
)
def test_files_apart(tmp_path: Path, name: str, stored: str, again: str, place: str, count: int) -> None:
    (tmp_path / "again").mkdir()
    (tmp_path / name).write_text(stored)
    (tmp_path / "again" / name).write_text(again)
    found = files_apart(tmp_path / name, tmp_path / "again" / name)
    assert found[1] == count and found[0].startswith(place) and bool(found[0]) == bool(count)


@pytest.mark.parametrize(("name", "text"), [("a.csv", "x\n1,2\n"), ("a.csv", ""), ("a.json", "{")])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "again").mkdir()
    (tmp_path / name).write_text(text)
    (tmp_path / "again" / name).write_text("x\n1\n" if name == "a.csv" else "{}")
    with pytest.raises(InputError, match=f"{name}: damaged"):
        files_apart(tmp_path / name, tmp_path / "again" / name)


def test_an_image_has_moved_when_one_pixel_has_by_more_than_rounding() -> None:
    images = np.full((3, 1, 2, 2), 250, np.uint8)
    again = images.copy()
    again[1, 0, 1, 1] -= 8
    again[2, 0, 0, 1] = 0
    assert moved(images, again).tolist() == moved(again, images).tolist() == [False, False, True]


def test_judgements_of_any_unit_alike() -> None:
    scores = np.array([100.0, 0.0, -300.0, np.inf], np.float32)
    assert judged_alike(scores, scores + np.float32(0.5), unit=200)
    assert not judged_alike(scores, scores + np.float32(0.5))
    assert not judged_alike(scores[:3], scores)
    assert not judged_alike(np.full(4, np.nan, np.float32), scores)
