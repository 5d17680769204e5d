"""The report, made from a made-up study whose predictions go through the real comparison; its images are MNIST's."""

import base64
import csv
import gzip
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from ruamel.yaml import YAML

from pipeline import comparison, groups, images, subsets
from pipeline.classifier.arms import ARMS, Arm, to_variants
from pipeline.config import from_mapping
from pipeline.controls import ARMS as CONTROL_ARMS
from pipeline.controls import controls_to_deltas
from pipeline.errors import InputError
from pipeline.images import LabelledImages
from pipeline.ledger import COLUMNS, accuracies_to_key
from pipeline.report import charts
from pipeline.report.dataset import class_counts
from pipeline.report.effort import budget_to_efforts, is_equal
from pipeline.report.page import _delta_panels, study_to_page, write
from pipeline.report.rates import RATE, params_to_settings
from pipeline.report.study import load_study
from pipeline.report.summary import study_to_summary
from pipeline.report.tables import classes_to_heat, print_table, quality_to_text
from pipeline.report.words import copying, duration, information, regime, signed, tuning, typeset, warnings
from pipeline.report.worth import interval, sentence, worth_to_text
from pipeline.split import Split
from pipeline.stages.stage import read_params
from pipeline.worth import predictions_to_worth

ROOT = Path(__file__).parents[1]
RAW = ROOT / "datasets" / "MNIST" / "raw"
# Mean accuracy at 50 a class, and how often two arms err together is left to chance and to each image's difficulty.
SKILLS = {
    "real": 93.0,
    "real+classical": 97.0,
    "real+copies": 94.0,
    "real+interpolated": 93.2,
    "real+gan": 95.0,
    "real+gan+classical": 97.3,
    "gan": 89.0,
}
STEPS = {"gan": 1000, "classifier": 400}
GRID_STEPS = [100, 300, 600, 1000]


def digits(count: int) -> LabelledImages:
    """The first `count` MNIST training images."""
    with gzip.open(RAW / "train-images-idx3-ubyte.gz") as file:
        file.seek(16)
        pixels = np.frombuffer(file.read(count * 784), np.uint8).reshape(count, 1, 28, 28)
    with gzip.open(RAW / "train-labels-idx1-ubyte.gz") as file:
        file.seek(8)
        labels = np.frombuffer(file.read(count), np.uint8).astype(np.int64)
    return LabelledImages(pixels, labels, tuple("0123456789"))


def make_params(budgets: Sequence[int], replicates: int) -> dict[str, Any]:
    primary = {"budget": budgets[-1], "arm": "real+gan", "reference": "real"}
    return {
        "study": {"seed": 20, "budgets": list(budgets), "replicates": replicates},
        "data": {"source": "mnist", "image_size": None, "development_per_class": 5},
        "oracle": {"steps": 600, "batch_size": 128},
        "gan": {"recipe": "relativistic", "steps": STEPS["gan"]},
        "generate": {"per_class": 500},
        "assess": {"neighbours": 5, "features": 64},
        "classifier": {"steps": STEPS["classifier"], "batch_size": 64, "learning_rate": 0.01},
        "arms": {
            "synthetic_share": {"gan": 0.1, "copies": 0.5, "interpolated": 0.5},
            "classical": {"rotate": 10.0, "shift": 0.08},
        },
        "compare": {"margin": 0.2, "confidence": 0.95, "primary": primary},
        "compute": {"device": "auto", "precision": "auto"},
    }


def make_study(
    root: Path,
    budgets: Sequence[int] = (5,),
    replicates: int = 4,
    train: LabelledImages | None = None,
    tests: int = 800,
    diverged: Sequence[int] = (),
    collapsed: Sequence[int] = (),
) -> dict[str, Any]:
    """Write every file that the report reads below `root`, and return the params. diverged, collapsed: replicates."""
    rng = np.random.default_rng(7)
    train = train or digits(1500)
    params, artifacts = make_params(budgets, replicates), root / "artifacts"
    classes = list(train.classes)
    per_class = dict(zip(classes, np.bincount(train.labels, minlength=len(classes)).tolist(), strict=True))
    facts = {"source": "mnist", "classes": classes, "shape": list(train.shape), "train": len(train), "test": tests}
    dropped = {"train_copies": 1, "test_copies": 0, "train_in_test": 2, "contradictory": 0}
    test_per_class = {name: tests // len(classes) for name in classes}
    facts |= {"train_per_class": per_class, "test_per_class": test_per_class, "dropped": dropped}
    train.save(artifacts / "data/train.npz")
    write_json(artifacts / "data/summary.json", facts)
    make_results(root, params, classes, tests, rng)
    make_history(artifacts / "oracle/history.csv", ["step", "loss"], [[s, 2 / s] for s in range(10, 601, 10)])
    make_runs(artifacts / "runs", budgets)

    development = subsets.development_part(train.labels, 5)
    for i, budget in enumerate(budgets):
        drawn = subsets.disjoint_subsets(train.labels, development, budget, replicates, seed=i, fewer=True)
        nothing = np.empty((len(drawn), 0), np.int64)
        Split(drawn, train.labels[drawn], nothing, development).save(artifacts / f"splits/{budget}.npz")
        digests = [subsets.digest(row) for row in drawn]
        split = {"budget": budget, "replicates": len(drawn), "asked": replicates, "digests": digests}
        write_json(artifacts / f"splits/{budget}.json", split)
        make_gan(artifacts / f"gan/{budget}", train, len(drawn), diverged, collapsed, rng)
        synthetic = train.subset(rng.permutation(len(train))[:300])
        synthetic.save(artifacts / f"synthetic/{budget}/replicate-0.npz")
        make_quality(artifacts / f"quality/{budget}", train, drawn, rng)
        for part, arms in (("baseline", list(SKILLS)[:4]), ("augmented", list(SKILLS)[4:])):
            rows = [
                [arm, r, step, float(2.3 * np.exp(-step / 60) + 0.02 + 0.005 * rng.random())]
                for arm in arms
                for r in range(len(drawn))
                for step in range(5, STEPS["classifier"] + 1, 5)
            ]
            make_history(artifacts / f"{part}/{budget}/history.csv", ["arm", "replicate", "step", "loss"], rows)
            made = {arm.name: asdict(arm) | {"phases": phases_of(arm)} for arm in ARMS if arm.name in arms}
            write_json(artifacts / f"{part}/{budget}/arms.json", made)
    return params


def phases_of(arm: Arm) -> list[dict[str, Any]]:
    """Batches of 64, by origin."""
    batch = {"real": 32, arm.synthetic: 32} if arm.real and arm.synthetic else {arm.synthetic or "real": 64}
    return [{"steps": STEPS["classifier"], "batch": batch}]


def make_results(root: Path, params: dict[str, Any], classes: list[str], tests: int, rng: np.random.Generator) -> None:
    labels = rng.integers(0, len(classes), tests)
    hardness = rng.normal(size=tests)

    def predict(accuracy: float) -> NDArray[np.int64]:
        score = 0.8 * hardness + 0.6 * rng.normal(size=tests)
        wrong = score > np.quantile(score, min(0.999, accuracy / 100))
        return np.where(wrong, (labels + rng.integers(1, len(classes), tests)) % len(classes), labels)

    by_budget = {}
    for budget in params["study"]["budgets"]:
        arms = {}
        count = min(params["study"]["replicates"], 5000 // budget)
        lifts = rng.normal(0, 0.15, size=count)
        for arm, skill in SKILLS.items():
            error = (100 - skill) * (50 / budget) ** 0.45
            arms[arm] = np.stack([predict(100 - error + lift + rng.normal(0, 0.15)) for lift in lifts])
        by_budget[budget] = arms
    study = comparison.Predictions(by_budget, labels, classes)
    config = from_mapping(comparison.CompareConfig, params["compare"], "compare")
    deltas = comparison.predictions_to_deltas(study, config)
    (root / "results").mkdir(parents=True)
    deltas.to_csv(root / "results/deltas.csv", index=False)
    comparison.predictions_to_accuracies(study).to_csv(root / "results/accuracies.csv", index=False)
    comparison.predictions_to_recalls(study).to_csv(root / "results/recalls.csv", index=False)
    comparison.predictions_to_mcnemar(study, config).to_csv(root / "results/mcnemar.csv", index=False)
    controls_to_deltas({}, labels, classes, config).to_csv(root / "results/controls.csv", index=False)
    predictions_to_worth(study, config.confidence).to_csv(root / "results/worth.csv", index=False)
    groups.predictions_to_groups(study, {}, 0.95).to_csv(root / "results/groups.csv", index=False)
    metrics = comparison.deltas_to_metrics(study, deltas, config, predict(99.3))
    write_json(root / "results/metrics.json", metrics)


def make_gan(
    folder: Path,
    train: LabelledImages,
    replicates: int,
    diverged: Sequence[int],
    collapsed: Sequence[int],
    rng: np.random.Generator,
) -> None:
    header = ["replicate", "step", "generator_loss", "discriminator_loss", "real_score", "fake_score"]
    header += ["generator_gradient", "discriminator_gradient", "penalty", "spread"]
    rows, health = [], []
    for r in range(replicates):
        top = 0.05 if r in collapsed else 0.45
        for step in range(20, STEPS["gan"] + 1, 20):
            if r in diverged and step >= 500:
                rows.append([r, step, *[float("nan")] * 8])
                break
            wave, noise = 1 - np.exp(-step / 150), rng.normal(0, 0.03, size=8)
            values = np.array([0.7 + wave, 0.7 - 0.4 * wave, wave, -wave, 1, 0.6, 0.1, top * wave])
            rows.append([r, step, *(values + noise * [1, 1, 1, 1, 1, 1, 0.1, 0.1]).round(5)])
        names = list(train.classes[3:5]) if r in collapsed else []
        bad = r in diverged or r in collapsed
        spread = None if r in diverged else top
        health.append(
            {"replicate": r, "finite": r not in diverged, "spread": spread, "spread_real": 0.47, "collapsed": names}
            | {"healthy": not bad}
        )
    make_history(folder / "history.csv", header, rows)
    write_json(folder / "health.json", {"replicates": health})
    write_json(folder / "config.json", {"grid_steps": GRID_STEPS})
    (folder / "grids").mkdir()
    rows_of_images = [
        np.concatenate(list(train.pixels[train.labels == i][:10, 0]), 1) for i in range(len(train.classes))
    ]
    grid = np.concatenate(rows_of_images)
    for step in GRID_STEPS:
        if 0 in diverged and step > 500:
            break
        noisy = np.clip(grid + rng.normal(0, 200 * np.exp(-step / 300), size=grid.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"grids/replicate-0-step-{step:06d}.png")


def make_quality(folder: Path, train: LabelledImages, drawn: NDArray[np.int64], rng: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    rows, by_class = [], []
    for r in range(len(drawn)):
        row = {"replicate": r, "agreement": 90 + rng.random(), "frechet": 3 + rng.random(), "frechet_floor": 0.4}
        row |= {"kid": 5 + rng.random(), "kid_floor": -0.02}
        row |= {"precision": 0.8, "recall": 0.7, "density": 0.9, "coverage": 0.75, "spread": 0.44, "spread_real": 0.47}
        for view in ("pose", "pixel"):
            row |= {
                f"{view}_closer_to_subset": 0.54 + 0.02 * rng.random(),
                f"{view}_distance_ratio": {"pose": 0.97, "pixel": 0.99}[view],
                f"{view}_near_copies": 70,
                f"{view}_near_unused": 52,
                f"{view}_c_t": -2 + rng.random(),
                f"{view}_c_t_unused": -0.5,
            }
        rows.append(row | {"exact_copies": 0})
        by_class += [
            [r, name, 500, 85 + 15 * rng.random(), 9, -0.1, 0.8, 0.6, 0.9, 0.95, 0.44, 0.47] for name in train.classes
        ]
    pd.DataFrame(rows).to_csv(folder / "quality.csv", index=False)
    header = ["replicate", "class", "synthetic", "agreement", "kid", "kid_floor", "precision", "recall"]
    make_history(folder / "classes.csv", [*header, "precision_real", "recall_real", "spread", "spread_real"], by_class)
    pairs = train.pixels[drawn[0][:16]]
    distance = np.linspace(0.03, 0.09, len(pairs))
    images.save_arrays(
        folder / "suspects.npz",
        synthetic=pairs[::-1],
        real=pairs,
        unused=pairs[::-1],
        distance=distance,
        distance_unused=2 * distance,
    )


def make_runs(folder: Path, budgets: Sequence[int]) -> None:
    names = ["prepare", "train_oracle", "compare"]
    stages = ["split", "train_teacher", "train_gan", "generate", "judge", "assess", "train_baseline", "train_augmented"]
    stages.append("train_controls")
    names += [f"{stage}@{budget}" for stage in stages for budget in budgets]
    seconds = {"prepare": 2.5, "train_gan": 423.0, "train_oracle": 58.1, "train_baseline": 95.0}
    for name in names:
        machine = {"processor": "Example CPU @ 2.5 GHz", "cores": 2, "system": "Linux 6.1", "memory_gb": 8.0}
        versions = {"python": "3.12.3", "torch": "2.11.0", "torchvision": "0.26.0", "numpy": "2.3.1"}
        run = {"stage": name, "seconds": seconds.get(name.split("@")[0], 7.3), "finished": "2026-03-01T12:00:00+00:00"}
        run |= {"machine": machine, "versions": versions}
        if "train" in name:  # only stages that compute on a device say so
            run |= {"device": "cpu", "workers": 2, "milliseconds_per_step": 20.0 if "augmented" in name else 10.0}
        write_json(folder / f"{name}.json", run)


def make_history(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


class Page(HTMLParser):
    """A page's tags, checked for balance as they come, and its text."""

    VOID = ("meta", "img", "br", "wbr", "hr", "input", "link", "source")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"
        self.text += " " * (tag in ("td", "th"))

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text = re.sub("[ \\n]+", " ", self.text + data)

    def values(self, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for _, attrs in self.tags if attribute in attrs]


def render(root: Path, params: dict[str, Any]) -> str:
    write(root, params["study"]["budgets"], params, root / "report")
    return (root / "report/index.html").read_text(encoding="utf-8")


def section(html: str, name: str) -> str:
    """A section of the page, without its heading."""
    return html.split(f'<h2 id="{name}">')[1].split("</h2>")[1].split("<h2")[0]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder and the params of a study with one budget; tests that change a file copy it."""
    root = tmp_path_factory.mktemp("study")
    return root, make_study(root)


@pytest.fixture(scope="module")
def html(study: tuple[Path, dict[str, Any]]) -> str:
    return render(*study)


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


def test_summary(study: tuple[Path, dict[str, Any]], html: str) -> None:
    summary = (study[0] / "report/summary.md").read_text(encoding="utf-8")
    metrics = json.loads((study[0] / "results/metrics.json").read_text())
    assert summary.startswith("# Yes: adding GAN images helps\n\n" + metrics["primary"]["sentence"])
    assert "| arm | against | delta, points | interval | better in | verdict |" in summary
    assert f"| gan | {metrics['accuracy']['5']['gan']['mean']:.2f} |" in summary
    assert "label agreement 90." in summary and "Warning" not in summary


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


@pytest.mark.parametrize(("shift", "said"), [("rotated", "±30 degrees"), ("blurred", "Gaussian"), ("usps", "USPS")])
def test_shifted_test_images_are_said_beside_the_verdict(
    shift: str, said: str, study: tuple[Path, dict[str, Any]], html: str
) -> None:
    loaded = load_study(study[0], [5], study[1])
    shifted = replace(loaded, data=loaded.data | {"shift": shift})
    page, plain = study_to_page(shifted), replace(loaded, data=loaded.data | {"shift": "none"})
    for text in (
        page.split('class="cards"')[0],
        section(page, "data"),
        study_to_summary(shifted).split("## Deltas")[0],
    ):
        assert "Tested under a shift: " in text and said in text
    for text in (html, study_to_page(plain), study_to_summary(plain)):
        assert "under a shift" not in text


def test_controls_are_shown_where_there_are_any(study: tuple[Path, dict[str, Any]], html: str) -> None:
    assert "no networks" not in html and "#controls" not in html
    loaded, rng = load_study(study[0], [5], study[1]), np.random.default_rng(0)
    assert "no networks" not in study_to_summary(loaded)
    labels = rng.integers(0, 10, 200)
    tables = {
        f"{model}/{arm}": np.where(rng.random((4, 200)) < 0.7 + 0.04 * i, labels, (labels + 1) % 10)
        for model in ("knn", "forest")
        for i, arm in enumerate(CONTROL_ARMS)
    }
    deltas = controls_to_deltas({5: tables}, labels, loaded.classes, loaded.compare)
    with_controls = replace(loaded, controls=deltas)
    shown = Page(section(study_to_page(with_controls), "controls"))
    row = deltas[(deltas["model"] == "forest") & (deltas["arm"] == "real+gan")].to_dict("records")[0]
    said = f"random forest {signed(row['delta'])} points ("
    first = f"(real+gan against real): nearest neighbours {signed(deltas['delta'][2])} points ("
    assert typeset(first) in shown.text
    assert typeset(said) in shown.text and said in study_to_summary(with_controls)
    assert shown.text.count("random forest real") == 5  # rows of the table: four arms, and one pair more


def test_what_an_arm_is_worth(tmp_path: Path) -> None:
    params = make_study(tmp_path, (2, 8, 20), 3)
    params["compare"]["primary"]["budget"] = 8
    page = Page(html := render(tmp_path, params))
    table = pd.read_csv(tmp_path / "results/worth.csv")
    shown = Page(section(html, "worth"))
    row = table[(table["arm"] == "real+gan") & (table["budget"] == 8)].to_dict("records")[0]
    assert 8 < row["worth"] < 20  # SKILLS
    assert (
        f"real+gan at 8 a class is worth {row['worth']:.{0 if row['worth'] > 9.95 else 1}f} real images" in shown.text
    )
    assert "from 2 to 20 a class" in shown.text
    for shown_row in worth_to_text(table).to_numpy().tolist():
        assert typeset(" ".join(shown_row)).replace("+", "") in shown.text.replace("+", "")
    assert typeset(sentence(row)) in shown.text and "extra" in sentence(row)
    assert len(shown.values("alt")) == 2 and sentence(row) in shown.values("alt")[1]
    assert "#worth" in page.values("href")
    summary = (tmp_path / "report/summary.md").read_text(encoding="utf-8")
    assert sentence(row) in summary.split("## Worth how many real images?")[1]


def test_one_budget_is_no_curve(study: tuple[Path, dict[str, Any]], html: str) -> None:
    assert "Worth how many" not in html and "#worth" not in html
    assert "Worth how many" not in (study[0] / "report/summary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("worth", "said", "more"),
    [
        ((71.2, 58.4, 89.9), "71 real images a class (58 to 90)", "-929 (-942 to -910)"),
        ((7.44, 5.1, 12), "7.4 real images a class (5.1 to 12)", "-993 (-995 to -988)"),
        ((1240, 620, np.inf), "1,240 real images a class (620 to more than 5,000)", "+240 (-380 to more than +4,000)"),
        ((9.96, 0, 90), "10 real images a class (fewer than 5 to 90)", "-990 (less than -995 to -910)"),
        (
            (np.inf, 4000, np.inf),
            "more than 5,000 real images a class (4,000 to more than 5,000)",
            "more than +4,000 (+3,000 to more than +4,000)",
        ),
        ((np.inf, 5000, np.inf), "more than 5,000 real images a class", "more than +4,000"),
        ((0, 0, 5), "fewer than 5 real images a class", "less than -995"),
        ((1003.4, 1000, 1012), "1,003 real images a class (1,000 to 1,012)", "+3.4 (0 to +12)"),
        (
            (60, 0, np.inf),
            "60 real images a class (fewer than 5 to more than 5,000)",
            "-940 (less than -995 to more than +4,000)",
        ),
    ],
)
def test_worth_in_words(worth: tuple[float, float, float], said: str, more: str) -> None:
    row = {"budget": 1000, "arm": "real+gan", "curve_from": 5, "curve_to": 5000}
    row |= dict(zip(("worth", "worth_low", "worth_high"), worth, strict=True))
    assert sentence(row) == f"real+gan at 1,000 a class is worth {said}: {more} extra."
    assert interval(row) in said


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


def test_the_data_section(html: str) -> None:
    page, train = Page(section(html, "data")), digits(1500)
    assert "1,500 training images 800 test images 10 classes 28 × 28 grey pixels 3 duplicates dropped" in page.text
    assert "1 within the training images, 0 within the test images, 2 training images that are test images" in page.text
    counts, alts = np.bincount(train.labels), page.values("alt")
    assert f"training images {counts.min()} to {counts.max()}; test images 80 to 80; one subset 5 to 5." in alts[0]
    black = 100 * (train.pixels < 8).mean()
    assert f"the darkest of 32 bins holds {black:.0f} % in training images" in alts[1]
    assert [alt.split(":")[0] for alt in alts[2:]] == [f"Class {name}" for name in range(10)]


def test_test_images_are_counted_only_if_prepare_did(study: tuple[Path, dict[str, Any]]) -> None:
    loaded = load_study(study[0], [5], study[1])
    older = replace(loaded, data={key: value for key, value in loaded.data.items() if key != "test_per_class"})
    names = ["training images", "test images", "one subset"]
    assert list(class_counts(loaded, loaded.budgets[0])) == names
    assert list(class_counts(older, loaded.budgets[0])) == names[::2]


def test_every_arm_had_the_same_effort(html: str) -> None:
    shown = section(html, "effort").split("<h3")[0]
    rows = [Page(row).text.strip() for row in re.findall("<tr.*?</tr>", shown, re.DOTALL)][1:]
    by_arm = dict(zip(SKILLS, rows, strict=True))
    assert all(row.startswith(f"{arm} ") and " 25,600 400 " in row for arm, row in by_arm.items())  # 400 x 64
    assert "Bars of one length" in shown and shown.count("width: 100.0%") == len(SKILLS)
    assert by_arm["real+classical"].endswith("64 real, distorted afresh 0.01 4.0")  # seconds: 400 steps of 10 ms
    assert by_arm["real+gan"].endswith("32 real + 32 synthetic 0.01 8.0")
    assert by_arm["gan"].endswith("64 synthetic 0.01 8.0")
    assert "1,000 steps, 10.0 s a replicate, which the other arms do without" in Page(shown).text


def test_unequal_effort_is_said(study: tuple[Path, dict[str, Any]]) -> None:
    loaded = load_study(study[0], [5], study[1])
    history, record = loaded.budgets[0].classifier_history, {"milliseconds_per_step_by_arm": {"gan": 30.0}}
    short = replace(loaded.budgets[0], classifier_history=history[(history["arm"] != "gan") | (history["step"] <= 200)])
    runs = [(name, run | record if name == "train_augmented@5" else run) for name, run in loaded.runs]
    unequal = replace(loaded, budgets=[short], runs=runs)
    assert warnings(loaded) == [] and is_equal(budget_to_efforts(loaded, loaded.budgets[0]))
    (warning,) = warnings(unequal)
    assert "the arms were not trained for equally many steps: real 400, " in warning and "and gan 200." in warning
    efforts = {effort.arm: effort for effort in budget_to_efforts(unequal, short)}
    assert (efforts["gan"].steps, efforts["gan"].seen, efforts["gan"].seconds) == (200, 12_800, 6.0)  # its own 30 ms
    assert efforts["real+gan"].seconds == 8.0 and efforts["real+gan"].shared  # its stage's mean
    assert not efforts["gan"].shared


def test_phases_are_told_one_after_another(study: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root = shutil.copytree(study[0], tmp_path / "study")
    path = root / "artifacts/augmented/5/arms.json"
    arms = json.loads(path.read_text())
    halves = [{"steps": 200, "batch": {"gan": 64}}, {"steps": 200, "batch": {"real": 64}}]
    arms["real+gan"]["phases"] = halves
    arms["real+gan+classical"]["phases"] = [{"steps": 400, "batch": {"real": 62.8, "gan": 1.2}}]  # rare classes filled
    write_json(path, arms)
    loaded = load_study(root, [5], study[1])
    assert warnings(loaded) == [], "all saw as many images"
    efforts = {effort.arm: effort for effort in budget_to_efforts(loaded, loaded.budgets[0])}
    assert (efforts["real+gan"].real, efforts["real+gan"].synthetic) == (12_800, 12_800)
    assert (efforts["real+gan+classical"].real, efforts["real+gan+classical"].synthetic) == (25_120, 480)
    shown = Page(section(study_to_page(loaded), "effort")).text
    assert "200 times 64 synthetic, then 200 times 64 real" in shown
    assert "62.8 real + 1.2 synthetic, distorted afresh" in shown


def test_the_learning_rate_check_is_shown_or_its_lack(study: tuple[Path, dict[str, Any]], html: str) -> None:
    assert "Not checked: python -m benchmarks.development rates" in Page(section(html, "effort")).text  # no file here
    loaded = load_study(study[0], [5], study[1])
    settings = {key: value for key, value in params_to_settings(study[1]).items() if key != RATE}
    rows = [
        {
            "budget": 5,
            "seed": 1,
            **settings,
            "arm": arm,
            "replicate": replicate,
            "accuracy": accuracy + replicate,
            RATE: rate,
        }
        for arm, accuracies in {"real": (90, 92), "real+gan": (94, 93)}.items()
        for replicate in range(4)
        for rate, accuracy in zip((0.01, 0.02), accuracies, strict=True)
    ]
    checked = replace(loaded, rates=pd.DataFrame(rows))
    shown = Page(section(study_to_page(checked), "effort")).text
    assert "on 4 subsets of the development part" in shown
    assert "real 91.50 93.50 0.02 2.00 ± 0.00" in shown and "real+gan 95.50 94.50 0.01 –" in shown
    assert (
        "real+gan over real: +4.00\u00a0points there with the shared rate, +2.00 with each arm at its own best" in shown
    )
    assert "a change of −2.00 ± 0.00" in shown
    other = replace(checked, params=study[1] | {"gan": {"recipe": "dcgan", "steps": 7}})
    shown = Page(section(study_to_page(other), "effort")).text
    assert (
        "does not cover these settings: it was measured with gan.recipe relativistic (here dcgan) and gan.steps "
        in shown
    )
    assert "93.50" not in shown


def test_openings_of_the_test_set_are_shown(study: tuple[Path, dict[str, Any]], html: str, tmp_path: Path) -> None:
    assert "Not counted: python -m pipeline.openings does so." in Page(section(html, "reuse")).text  # no ledger here
    root, params = shutil.copytree(study[0], tmp_path / "copy"), study[1]
    primary = {"budget": 5, "arm": "real+gan", "reference": "real", "replicates": 4, "delta": 1.234}
    row = (
        dict.fromkeys(COLUMNS, 0)
        | primary
        | {"date": "2026-01-02 10:00", "commit": "abc", "data": "mnist", "part": "all"}
    )
    rows = [row | {"predictions": "one"}, row | {"predictions": "two", "part": "development"}]
    (root / "docs").mkdir()
    pd.DataFrame(rows).to_csv(root / "docs/openings.csv", index=False)
    own = json.loads((root / "results/metrics.json").read_text())["primary"]
    shown = Page(section(render(root, params), "reuse")).text
    assert "the test set of mnist has been opened twice, this study among them. Trials on" in shown
    assert "and leave it shut: 1." in shown
    assert "abc 2026-01-02 10:00 0 0 real+gan against real at 5 +1.23 " in shown
    assert f"this study – 20 relativistic real+gan against real at 5 {signed(own['delta'])} " in shown
    rows.append(row | {"predictions": accuracies_to_key((root / "results/accuracies.csv").read_bytes())})
    pd.DataFrame(rows).to_csv(root / "docs/openings.csv", index=False)
    shown = Page(section(render(root, params), "reuse")).text
    assert "has been opened twice, this study among them" in shown and "this study –" not in shown
    by_hand = dict.fromkeys(COLUMNS) | {"predictions": "three", "commit": "none", "date": "2026-01-03", "data": "mnist"}
    pd.DataFrame([*rows, by_hand]).to_csv(root / "docs/openings.csv", index=False)
    assert "none 2026-01-03 – – none – none" in Page(section(render(root, params), "reuse")).text
    pd.DataFrame(rows).to_csv(root / "docs/openings.csv", index=False)
    trial = params | {"data": params["data"] | {"part": "development"}}
    assert "has been opened twice. Trials" in Page(section(render(root, trial), "reuse")).text


def test_a_trial_on_the_development_part_says_so(study: tuple[Path, dict[str, Any]]) -> None:
    loaded = load_study(study[0], [5], study[1])
    (warning,) = warnings(replace(loaded, data=loaded.data | {"part": "development"}))
    assert warning.startswith("A trial on the development part") and "test set, which nothing was tested on" in warning


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


def test_table_for_the_terminal(study: tuple[Path, dict[str, Any]]) -> None:
    deltas = pd.read_csv(study[0] / "results/deltas.csv")
    lines = print_table(deltas).splitlines()
    assert len(lines) == 2 + len(deltas)
    assert lines[0].split()[:5] == ["images", "a", "class", "arm", "against"]
    best = deltas.iloc[0]
    assert re.fullmatch(rf"\s+5  {re.escape(best['arm'])} +real +\+{best['delta']:.2f} .* helps .*", lines[2])
    assert "nan" not in print_table(deltas.assign(ci_low=np.nan, ci_high=np.nan, p_holm=np.nan, accuracy_sd=np.nan))


def test_words() -> None:
    assert [signed(value) for value in (1.234, -0.5, -0.001, 0.0, None, float("nan"))] == (
        ["+1.23", "-0.50", "0.00", "0.00", "–", "–"]
    )
    assert typeset("real-gan -0.50 to +1.20 points, 95 %") == "real-gan −0.50 to +1.20\u00a0points, 95\u00a0%"
    assert [duration(seconds) for seconds in (4.21, 200, 7500)] == ["4.2 s", "3 min 20 s", "2 h 5 min"]


@pytest.mark.parametrize(
    ("share", "answer"),
    [
        (0.51, "No clear sign"),
        (0.54, "A slight lean"),
        (0.6, "A clear lean"),
        (0.9, "A strong lean"),
        (np.nan, "Not measured"),
    ],
)
def test_copying_in_words(study: tuple[Path, dict[str, Any]], share: float, answer: str) -> None:
    budget = load_study(study[0], [5], study[1]).budgets[0]
    said, sentences = copying(replace(budget, quality=budget.quality.assign(pose_closer_to_subset=share)))
    assert said.startswith(answer)
    assert ("were copies" in sentences[0]) == ("lean" in answer)
    assert sentences[-1] == "0 of 20,000 synthetic images equal a training image exactly."


def test_a_lean_is_called_by_the_noise_of_so_few_real_images(study: tuple[Path, dict[str, Any]]) -> None:
    budget = load_study(study[0], [5], study[1]).budgets[0]
    lean = budget.quality.assign(pose_closer_to_subset=0.53)
    few = replace(budget, quality=lean)  # four GANs: 0.036 is two standard errors with 50 real images, 0.013 with 500
    assert copying(few)[0].startswith("No clear sign")
    assert copying(replace(few, size=50))[0].startswith("A slight lean")
    rare = {**budget.split, "per_class": {"0": 5, "1": 50}}  # five of each class are compared
    assert copying(replace(few, size=50, split=rare))[0].startswith("No clear sign")


@pytest.mark.parametrize(
    ("c_t", "control", "reading"),
    [
        (-2.0, -1.9, "The difference, -0.1, is no more than chance gives (±0.4)."),  # 2 sqrt(2 / 10 classes / 4 GANs)
        (2.0, 3.0, "The difference, -1.0, is a lean towards the training images, more than chance gives (±0.4)."),
        (0.5, -0.5, "The difference, +1.0, is no copying, but more than chance gives (±0.4)."),
        (np.nan, 0.1, "was not measured."),
    ],
)
def test_data_copying_is_read_beside_its_control(
    study: tuple[Path, dict[str, Any]], c_t: float, control: float, reading: str
) -> None:
    budget = load_study(study[0], [5], study[1]).budgets[0]
    quality = budget.quality.assign(pose_c_t=c_t, pose_c_t_unused=control)
    _, sentences = copying(replace(budget, quality=quality))
    (said,) = [sentence for sentence in sentences if sentence.startswith("C_T (Meehan et al. 2020)")]
    assert said.endswith(reading)


def test_quality_by_class_stands_beside_what_real_images_get(study: tuple[Path, dict[str, Any]]) -> None:
    loaded = load_study(study[0], [5], study[1])
    by_class = loaded.budgets[0].by_class.astype({"kid": float})
    seven = by_class["class"] == "7"
    by_class.loc[seven, ["kid", "recall", "spread"]] = [[18.0, 0.1 + 0.1 * r, 0.1] for r in range(4)]
    by_class.loc[seven, "spread_real"] = 0.4
    by_class.loc[by_class["class"] == "3", ["kid", "spread_real"]] = np.nan  # one real image has no spread
    table = classes_to_heat(loaded, replace(loaded.budgets[0], by_class=by_class))
    rows = dict(table.rows)
    measures = ("KID", "precision", "recall", "spread")
    assert table.columns == [label for measure in measures for label in (measure, f"{measure}, real")]
    assert [cell.text for cell in rows["7"]] == ["18.0", "-0.1", "0.80", "0.90", "0.25", "0.95", "0.10", "0.40"]
    assert [cell.heat for cell in rows["7"]] == [-1.0, 0, -0.1, 0, -0.7, 0, -0.75, 0]
    assert (rows["3"][6].text, rows["3"][6].heat, rows["3"][7].text) == ("0.44", 0, "–")
    assert rows["0"][0].heat == -0.5 and (rows["3"][0].text, rows["3"][0].heat) == ("–", 0)


def test_the_quality_table_has_the_distance_ratio(study: tuple[Path, dict[str, Any]]) -> None:
    loaded = load_study(study[0], [5], study[1])
    budget = loaded.budgets[0]
    quality = budget.quality.assign(pose_distance_ratio=[0.8, 0.9, 1.0, 0.9])
    rows = quality_to_text(replace(loaded, budgets=[replace(budget, quality=quality)])).set_index("measure")
    assert rows.loc["distance ratio, common pose", "5 a class"] == "0.90 (0.80 to 1.00)"
    assert "1 if nothing was learnt by heart" in rows.loc["distance ratio, common pose", "how to read it"]


def test_suspects_stand_beside_a_training_and_an_unseen_image(study: tuple[Path, dict[str, Any]], html: str) -> None:
    shown = section(html, "copies")
    assert shown.count("<figcaption>trained 0.030, unseen 0.060</figcaption>") == 1
    source = re.findall(r'<img src="data:image/png;base64,([^"]*)"', shown)[0]
    arrays = images.load_arrays(study[0] / "artifacts/quality/5/suspects.npz")
    with Image.open(io.BytesIO(base64.b64decode(source))) as image:
        pixels = np.asarray(image.convert("L"))[::2, ::2]
    for place, name in enumerate(("synthetic", "real", "unused")):
        assert np.array_equal(pixels[:, place * 29 : place * 29 + 28], arrays[name][0, 0])


def test_report_needs_no_torch() -> None:
    code = "import sys, pipeline.report; sys.exit(bool({'torch', 'dvc', 'prefect'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=RAW.parents[2]).returncode == 0


def test_what_a_replicate_was_given_is_said() -> None:
    assert regime({"per_class": {"a": 5, "b": 5}, "wrong_labels": 0, "unlabelled": 0}) == []
    lines = regime({"per_class": {"a": 500, "b": 20, "c": 10}, "wrong_labels": 7, "unlabelled": 40})
    assert lines[0] == "only some classes are that short: b (20) and c (10); the others have 500."
    assert lines[1].startswith("7 of a replicate's labels are wrong")
    assert lines[2].startswith("each replicate has 40 images without labels")
    assert "Arms with GAN images know them through the GAN" in lines[2]


def test_a_contrast_of_unequal_knowledge_is_marked(study: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root = shutil.copytree(study[0], tmp_path / "study")
    path, split = root / "artifacts/baseline/5/arms.json", root / "artifacts/splits/5.json"
    made = json.loads(path.read_text())
    made["real+pseudo"] = made["real"] | {"name": "real+pseudo", "of": "real", "pseudo": True}
    write_json(path, made)
    write_json(split, json.loads(split.read_text()) | {"unlabelled": 40})
    for name in ("results/accuracies.csv", "artifacts/baseline/5/history.csv"):
        table = pd.read_csv(root / name)
        pd.concat([table, table[table["arm"] == "real"].assign(arm="real+pseudo")]).to_csv(root / name, index=False)
    deltas = pd.read_csv(root / "results/deltas.csv")
    row = deltas[(deltas["arm"] == "real+gan") & (deltas["reference"] == "real")]
    others = [row.assign(reference="real+pseudo", delta=0.25), row.assign(arm="real+pseudo")]
    pd.concat([deltas, *others]).to_csv(root / "results/deltas.csv", index=False)
    loaded = load_study(root, [5], study[1])
    marks = information(loaded)
    assert marks[5, "real+gan", "real"] == marks[5, "real+pseudo", "real"] == "knows more"
    assert (5, "real+gan", "real+pseudo") not in marks and (5, "real+classical", "real") not in marks
    assert set(marks.values()) == {"knows more"}
    titles = [title for title, _ in _delta_panels(loaded, loaded.budgets[0])]
    assert "Against real images with pseudo-labels, which know as much" in titles

    html = render(root, study[1])
    hero, cards = html.split('<div class="hero')[1].split('<div class="cards">')[:2]
    assert "Not on equal terms: real+gan knows unlabelled images" in hero
    fair, unfair = (
        next(card for card in cards.split("</section>") if f"{title}</h3>" in card)
        for title in ("GAN images, against pseudo-labels", "GAN images")
    )
    assert "knows more: not the gain of GAN images alone" in unfair and "knows more" not in fair
    rows = [Page(row).text for row in re.findall("<tr.*?</tr>", section(html, "table"), re.DOTALL)]
    assert sum("knows more" in row for row in rows) == len(marks)
    summary = (root / "report/summary.md").read_text(encoding="utf-8")
    assert "**Not on equal terms" in summary and summary.count("(knows more) |") == len(marks)

    assert information(load_study(study[0], [5], study[1])) == {}
    plain = render(*study)
    assert "knows more" not in plain and "Knows more" not in plain and "Not on equal terms" not in plain


CHANGES = (("rare", 3.0, 1.0, 5.0), ("common", -0.5, -1.0, 0.0), ("balanced", 1.0, None, None))


def test_rare_classes_have_a_table_of_their_own(study: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root = shutil.copytree(study[0], tmp_path / "study")
    rows = [
        [5, arm, "real", group, 90.0, 1.0, delta, low, high]
        for arm in ("real", "real+gan")
        for group, delta, low, high in (
            ("rare", 3.0, 1.0, 5.0),
            ("common", -0.5, -1.0, 0.0),
            ("balanced", 1.0, None, None),
        )
    ]
    pd.DataFrame(rows, columns=groups.COLUMNS).to_csv(root / "results/groups.csv", index=False)
    html = render(root, study[1])
    assert "Rare and common classes" in html and "+3.00 (+1.00 to +5.00)" in html
    assert "Rare and common classes" not in render(*study)


def test_an_uneven_study_says_whose_images_are_few(study: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root = shutil.copytree(study[0], tmp_path / "study")
    path = root / "artifacts/splits/5.json"
    write_json(path, json.loads(path.read_text()) | {"per_class": {"0": 5, "1": 500}})
    rows = [[5, "real+gan", "real", group, 90.0, 1.0, 1.0, 0.5, 1.5] for group in ("rare", "common", "balanced")]
    rows += [[5, "real", "real", *row[3:]] for row in rows]
    pd.DataFrame(rows, columns=groups.COLUMNS).to_csv(root / "results/groups.csv", index=False)
    text = Page(render(root, study[1])).text
    assert "mnist · 5 real images of each rare class ·" in text
    assert "Budget: real training images of each rare class." in text
    assert "The tables have 3 intervals, and none is adjusted for their number" in text
    assert "At 5 real images of each rare class; the oracle" in (root / "report/summary.md").read_text()
    assert "rare class" not in Page(render(*study)).text


@pytest.mark.parametrize(
    ("source", "undrawn", "said"),
    [
        (
            "mnist",
            4000,
            "4,000 training images are never drawn by a study; GAN, classifier and arms were chosen on them.",
        ),
        ("mnist", 50, "chosen on 400 a class of MNIST's training images, and this study may draw some of those."),
        ("folder", 0, "chosen on MNIST's training images, none on images of folder; 0 training images are never drawn"),
    ],
)
def test_what_was_tuned_where(study: tuple[Path, dict[str, Any]], source: str, undrawn: int, said: str) -> None:
    loaded = load_study(study[0], [5], study[1])
    budgets = [replace(loaded.budgets[0], development=undrawn)]
    changed = replace(loaded, data=loaded.data | {"source": source}, budgets=budgets)
    assert said in tuning(changed)
    assert tuning(changed) in Page(section(study_to_page(changed), "method")).text


def test_variants_have_charts_of_their_own(study: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root = shutil.copytree(study[0], tmp_path / "study")
    path = root / "artifacts/augmented/5/arms.json"
    arms = json.loads(path.read_text())
    arms["real+gan+classical"]["of"] = "real+gan"
    write_json(path, arms)
    loaded = load_study(root, [5], study[1])
    titles = [title for title, _ in _delta_panels(loaded, loaded.budgets[0])]
    assert titles == [
        "Against real",
        "Against real+classical",
        "GAN images against images made without a GAN",
        "Variants against real images",
    ]


def with_variants_of(root: Path, generated: Sequence[dict[str, Any]], shares: dict[str, float], batch: int) -> None:
    """Plant variants of real+gan in a study of budget 5: its numbers, but deltas of 0, 1, 2 and so on. shares: of a
    batch by kind.
    """
    names = ("results/deltas.csv", "results/accuracies.csv", "artifacts/augmented/5/history.csv")
    path, tables = root / "artifacts/augmented/5/arms.json", [pd.read_csv(root / name) for name in names]
    made, owns = json.loads(path.read_text()), [table[table["arm"] == "real+gan"] for table in tables]
    for delta, variant in enumerate(to_variants({"generated": list(generated)}).generated):
        arm = variant.arm()
        synthetic = round(batch * (arm.share or shares["gan"]))
        phase = {"steps": STEPS["classifier"], "batch": {"real": batch - synthetic, "gan": synthetic}}
        made[arm.name] = asdict(arm) | {"phases": [phase]}
        for i, (own, change) in enumerate(zip(owns, ({"delta": float(delta)}, {}, {}), strict=True)):
            tables[i] = pd.concat([tables[i], own.assign(arm=arm.name, **change)])
    write_json(path, made)
    for name, table in zip(names, tables, strict=True):
        table.to_csv(root / name, index=False)


def test_the_ratio_chart_is_drawn_for_the_arms_of_its_study(study: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root = shutil.copytree(study[0], tmp_path / "study")
    conf = YAML(typ="safe").load(ROOT / "conf/ratio_curve.yaml")
    variants, params = conf["variants"]["generated"], read_params(ROOT / "params.yaml")
    with_variants_of(root, variants, params["arms"]["synthetic_share"], params["classifier"]["batch_size"])
    loaded = load_study(root, [5], study[1])
    (picture,) = charts.ratio_charts(loaded, loaded.budgets[0])
    said = ", ".join(f"{signed(float(i))} at {variant['per_class'] / 5:g}" for i, variant in enumerate(variants))
    assert picture.alt == f"Delta in points to real against generated images for each real one: {said}."
    assert "How many generated images for each real one?" in render(root, study[1])
    assert "How many generated images for each real one?" not in render(*study)


def test_a_ratio_chart_holds_what_differs_in_number_alone(study: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root = shutil.copytree(study[0], tmp_path / "study")
    variants = [
        {"name": "2 for each", "of": "real+gan", "per_class": 10, "share": 0.5},
        {"name": "1 for each", "of": "real+gan", "per_class": 5},
        {"name": "half the weight", "of": "real+gan", "per_class": 20, "weight": 0.5},
        {"name": "a quarter", "of": "real+gan", "per_class": 20, "share": 0.25},
    ]
    with_variants_of(root, variants, {"gan": 0.5}, 64)  # real+gan itself has 32 of 64
    loaded = load_study(root, [5], study[1])
    (picture,) = charts.ratio_charts(loaded, loaded.budgets[0])
    own = loaded.deltas.set_index(["arm", "reference"]).loc[("real+gan", "real"), "delta"]
    assert picture.alt.endswith(f": +1.00 at 1, 0.00 at 2, {signed(own)} at 100.")
