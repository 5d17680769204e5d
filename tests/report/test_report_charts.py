"""Which charts are drawn for which arms."""

import json
import shutil
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
from made_study import ROOT, STEPS, write_json
from rendered import render
from ruamel.yaml import YAML

from pipeline.classifier.arms import to_variants
from pipeline.report import charts
from pipeline.report.page import _delta_panels
from pipeline.report.study import load_study
from pipeline.report.text import signed
from pipeline.stages.stage import read_params


def test_variants_have_charts_of_their_own(study: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root = shutil.copytree(study[0], tmp_path / "study")
    path = root / "artifacts/augmented/5/arms.json"
    arms = json.loads(path.read_text())
    arms["real+gan+classical"]["of"] = "real+gan"
    write_json(path, arms)
    loaded = load_study(root, [5], study[1])
    panels = dict(_delta_panels(loaded, loaded.budgets[0]))
    assert [*panels] == [
        "Against real",
        "Against real+classical",
        "GAN images against images made without a GAN",
        "Variants against real images",
    ]
    # A primary contrast of the study's own choice has its place, too.
    rows = loaded.deltas[loaded.deltas["reference"] == "real"].assign(arm="real+copies", reference="real+gan+classical")
    odd = replace(loaded, deltas=pd.concat([loaded.deltas, rows.iloc[:1]]))
    assert "Other contrasts" in dict(_delta_panels(odd, odd.budgets[0]))
    # Where the title does not say against what, each row does.
    drawn = {title: b64decode(panel.src.split(",", 1)[1]).decode() for title, panel in panels.items()}
    assert "against real" not in drawn["Against real"]
    assert ">against real<" in drawn["Variants against real images"]


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
        made[arm.name] = asdict(arm) | {"augmentation": None, "phases": [phase]}
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
