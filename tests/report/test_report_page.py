"""The page as a whole: its order, its links, what it is made from, and studies of unusual shapes."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from made_study import (
    GRID_STEPS,
    RAW,
    digits,
    make_study,
)
from PIL import Image
from rendered import Page, render, section

from pipeline.errors import InputError
from pipeline.images import LabelledImages
from pipeline.report.page import write
from pipeline.report.text import signed, typeset


def test_the_verdict_comes_first(study: tuple[Path, dict[str, Any]], html: str) -> None:
    primary = json.loads((study[0] / "results/metrics.json").read_text())["primary"]
    first = Page(html).text.split("How much better or worse")[0]
    assert typeset(primary["sentence"]) in first
    assert f"{signed(primary['delta'])} points" in first
    assert "Yes: adding GAN images helps" in first
    for term in ("Arm", "Delta", "Budget", "Replicate", "Margin", "CAS", "Oracle"):
        assert f"<dfn>{term}</dfn>" in html


def test_every_contrast_is_in_the_table(study: tuple[Path, dict[str, Any]], html: str) -> None:
    table = html.split('id="table"')[1].split("</table>")[0]
    rows = [Page(row).text.strip() for row in re.findall("<tr.*?</tr>", table, re.DOTALL)]
    deltas = pd.read_csv(study[0] / "results/deltas.csv")
    assert len(rows) == 1 + len(deltas)
    for row, shown in zip(deltas.to_dict("records"), rows[1:], strict=True):
        assert shown.startswith(f"{row['arm']} {row['reference']} {typeset(signed(row['delta']))} ")
        assert row["verdict"] in shown


def test_nothing_is_loaded(html: str) -> None:
    page = Page(html)
    assert all(source.startswith("data:image/") for source in page.values("src") + page.values("srcset"))
    assert all(link.startswith("#") for link in page.values("href"))
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not re.search(r"url\(|@import|https?:", html)


def test_pictures_have_words_and_are_whole(html: str) -> None:
    shown = [attrs for tag, attrs in Page(html).tags if tag == "img"]
    assert len(shown) > 30
    for attrs in shown:
        assert attrs["alt"] and attrs["width"] and attrs["height"] and attrs["src"]
        kind, content = attrs["src"].removeprefix("data:image/").split(";base64,")
        if kind == "svg+xml":
            svg = base64.b64decode(content)
            assert ElementTree.fromstring(svg).tag.endswith("svg")
            assert b"<metadata" not in svg and b"DejaVu" not in svg
        else:
            with Image.open(io.BytesIO(base64.b64decode(content))) as image:
                assert image.format == "PNG" and not image.info.keys() & {"Software", "Creation Time"}


def test_anchors_lead_somewhere(html: str) -> None:
    page = Page(html)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in page.values("href")} <= set(ids)


def test_page_says_what_made_it(study: tuple[Path, dict[str, Any]], html: str) -> None:
    split = json.loads((study[0] / "artifacts/splits/5.json").read_text())
    text = Page(html).text
    assert all(digest[:12] in text for digest in split["digests"])
    for fact in ("train_gan@5", "7 min 3 s", "Example CPU @ 2.5 GHz", "torchvision", "classical.shift", "No leak."):
        assert fact in text


def test_same_study_same_bytes(study: tuple[Path, dict[str, Any]], html: str, tmp_path: Path) -> None:
    write(study[0], [5], study[1], tmp_path)
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == html
    assert (tmp_path / "summary.md").read_bytes() == (study[0] / "report/summary.md").read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "results/metrics.json",
        "results/recalls.csv",
        "artifacts/gan/5/grids/replicate-0-step-000300.png",
        "artifacts/quality/5/suspects.npz",
        "artifacts/augmented/5/history.csv",
        "artifacts/runs/assess@5.json",
    ],
)
def test_missing_file_is_named(study: tuple[Path, dict[str, Any]], tmp_path: Path, name: str) -> None:
    root = shutil.copytree(study[0], tmp_path / "copy")
    (root / name).unlink()
    with pytest.raises(InputError, match=f"{re.escape(name)}: no such file; run `dvc repro`"):
        write(root, [5], study[1], tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_damaged_file_is_named(study: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root = shutil.copytree(study[0], tmp_path / "copy")
    (root / "artifacts/gan/5/health.json").write_text('{"replicates": [')
    with pytest.raises(InputError, match=r"health\.json: damaged"):
        write(root, [5], study[1], tmp_path / "report")


def test_several_budgets_and_failed_gans(tmp_path: Path) -> None:
    html = render(tmp_path, make_study(tmp_path, (2, 20), 3, diverged=[1], collapsed=[2]))
    page = Page(html)
    assert "Delta against budget" in page.text
    # One fold a budget in each of the eight sections that have them; only the primary contrast's is open.
    folds = [attrs for tag, attrs in page.tags if tag == "details" and attrs.get("class") == "budget"]
    assert [("open" in attrs) for attrs in folds] == 8 * [False, True]
    first = page.text.split("How much better or worse")[0]
    assert "At 20 images a class, 2 of 3 GANs failed, and count in every number: replicate 1 diverged" in first
    assert "replicate 2 collapsed (its images hardly differ from each other in classes 3 and 4)." in first
    assert (tmp_path / "report/summary.md").read_text(encoding="utf-8").count("**Warning.**") == 2


def test_one_replicate_in_colour(tmp_path: Path) -> None:
    grey, names = digits(600), ("none", "nan", "7", "<b>bold & brave</b>", "a-very-long-name" * 5, *"ABCDE")
    colour = LabelledImages(grey.pixels.repeat(3, axis=1), grey.labels, names)
    params = make_study(tmp_path, (5,), 1, colour, diverged=[0])
    page = Page(render(tmp_path, params))
    assert "A description only: no verdict on adding GAN images" in page.text
    assert "no interval" in page.text
    assert not re.search(r"\bnan\b", page.text.split("The data")[0])  # where class nan first appears
    assert "<b>bold & brave</b>" in page.text  # as text, not as a tag
    assert "b" not in {tag for tag, _ in page.tags}
    assert "step 300" in page.text and "step 600" not in page.text  # it stopped at 500


def test_three_classes_of_another_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, size=(90, 3, 24, 16)).astype(np.uint8)
    train = LabelledImages(pixels, rng.permutation(np.repeat([0, 1, 2], [40, 30, 20])), ("$x", "y_$", "z"))
    page = Page(render(tmp_path, make_study(tmp_path, (4,), 2, train)))
    assert "90 training images" in page.text and "16 × 24 colour pixels" in page.text
    assert "The largest class has 2.0 times as many training images as the smallest; a replicate's subset has 4 of" in (
        page.text
    )
    assert "The data" in page.text and "Equal effort" in page.text


def test_film_and_accuracy_of_the_discriminator(study: tuple[Path, dict[str, Any]], html: str, tmp_path: Path) -> None:
    assert "<picture>" not in html and "Discriminator&#39;s accuracy" not in html  # an older study has neither
    root = shutil.copytree(study[0], tmp_path / "copy")
    gan = root / "artifacts/gan/5"
    history = pd.read_csv(gan / "history.csv")
    new = {"discriminator_accuracy": 0.75, "epoch": history["step"] * 32 / 50}
    history.assign(**new).to_csv(gan / "history.csv", index=False)
    stills = [Image.open(gan / f"grids/replicate-0-step-{step:06d}.png") for step in GRID_STEPS]
    stills[0].save(gan / "grids/replicate-0.png", save_all=True, append_images=stills[1:], duration=100)
    shown = section(render(root, study[1]), "gan")
    assert "Discriminator&#39;s accuracy" in shown
    assert [int(epoch) for epoch in re.findall(r">epoch (\d+)<", shown)] == [64, 192, 384, 640]
    film = shown.split("<picture>")[1].split("</picture>")[0]
    (still,), (moving,) = Page(film).values("srcset"), Page(film).values("src")
    assert 'media="(prefers-reduced-motion: reduce), print"' in film
    with Image.open(io.BytesIO(base64.b64decode(moving.split(",")[1]))) as image:
        assert image.n_frames == len(GRID_STEPS)  # type: ignore[attr-defined]
    with Image.open(io.BytesIO(base64.b64decode(still.split(",")[1]))) as image:
        assert np.abs(np.asarray(image.convert("L")).astype(int) - np.asarray(stills[-1])).mean() < 8  # the last one


def test_report_needs_no_torch() -> None:
    code = "import sys, pipeline.report; sys.exit(bool({'torch', 'dvc', 'prefect'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=RAW.parents[2]).returncode == 0
