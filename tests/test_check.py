"""Every wrong param ends in one line that names its key, before anything runs."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.stages.check import check, notes, to_params
from pipeline.stages.stage import Stage, read_params

ROOT = Path(__file__).parent.parent
COMMITTED = read_params(ROOT / "params.yaml")


def leaves(values: Mapping[str, Any], where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*where, key))
        else:
            yield (*where, key), value


KEYS = {".".join(path): value for path, value in leaves(COMMITTED)}
SECTIONS = sorted({key.rpartition(".")[0] for key in KEYS})


@pytest.fixture(autouse=True)
def repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes are read from the repository's conf/gan."""
    monkeypatch.chdir(ROOT)


def changed(key: str, value: Any = None, remove: bool = False) -> dict[str, Any]:
    """The committed params with one key (dotted) set or removed."""
    values = copy.deepcopy(COMMITTED)
    *sections, last = key.split(".")
    place = values
    for section in sections:
        place = place[section]
    if remove:
        del place[last]
    else:
        place[last] = value
    return values


def message(values: Mapping[str, Any]) -> str:
    with pytest.raises(InputError) as error:
        to_params(values)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_committed_params_are_valid() -> None:
    params = to_params(COMMITTED)
    assert params.study.budgets == tuple(COMMITTED["study"]["budgets"])
    assert params.arms.classical.rotate == COMMITTED["arms"]["classical"]["rotate"]


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_key_is_named(section: str) -> None:
    assert message(changed(f"{section}.unheard_of", 1)).startswith(f"{section}.unheard_of: unknown key; ")


@pytest.mark.parametrize(
    "key", [key for key in KEYS if not key.startswith(("compute.", "arms.classical.", "arms.own_settings"))]
)
def test_a_missing_key_is_named(key: str) -> None:
    assert message(changed(key, remove=True)).startswith(f"{key}: missing; add it to the section ")


@pytest.mark.parametrize("key", KEYS)
def test_a_wrong_type_is_named(key: str) -> None:
    wrong = {"a": 1}
    assert message(changed(key, wrong)).startswith(f"{key}: must be ")


@pytest.mark.parametrize("key", [key for key, value in KEYS.items() if value is not None])
def test_an_empty_value_is_named(key: str) -> None:
    assert message(changed(key, None)).startswith(f"{key}: must be ")


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_that_is_no_section_is_named(section: str) -> None:
    for wrong in (None, 3, ["steps"]):
        assert message(changed(section, wrong)) == f"{section}: expected a section of keys, got {wrong!r}"


@pytest.mark.parametrize("key", [key for key, value in KEYS.items() if isinstance(value, float)])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_named(key: str, value: float) -> None:
    assert message(changed(key, value)).startswith(f"{key}: must ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("study.seed", -1),
        ("study.seed", True),
        ("study.seed", 1.0),
        ("study.budgets", []),
        ("study.budgets", [50, 0]),
        ("study.budgets", [50, 50]),
        ("study.replicates", 0),
        ("data.source", "cifar10"),
        ("data.image_size", 4),
        ("data.image_size", 30),
        ("data.channels", "colour"),
        ("data.test_fraction", 1.0),
        ("data.split_seed", -1),
        ("split.development_per_class", -1),
        ("oracle.width", 0),
        ("oracle.steps", 0),
        ("gan.recipe", "unheard_of"),
        ("gan.steps", 0),
        ("generate.per_class", 0),
        ("generate.export", "png"),
        ("assess.images", 127),
        ("assess.neighbours", 0),
        ("assess.suspects", 0),
        ("classifier.width", 0),
        ("classifier.steps", -5),
        ("classifier.batch_size", 3),
        ("classifier.learning_rate", 0.0),
        ("classifier.learning_rate", "0.01"),
        ("classifier.weight_decay", -0.1),
        ("classifier.dropout", 1.0),
        ("classifier.label_smoothing", 1.0),
        ("arms.synthetic_share.gan", 0.0),
        ("arms.synthetic_share.gan", 1.0),
        ("arms.synthetic_share.gan", 0.001),  # no synthetic image in a batch
        ("arms.synthetic_share.copies", 0.999),  # no real one
        ("arms.copies_per_class", 0),
        ("arms.interpolated_per_class", 0),
        ("arms.classical.rotate", 181.0),
        ("arms.classical.rotate", -1.0),
        ("arms.classical.scale", 1.0),
        ("arms.classical.shear", -0.1),
        ("arms.classical.translate", -0.1),
        ("arms.classical.elastic", -0.1),
        ("arms.classical.elastic_cells", 1),
        ("compare.margin", 0.0),
        ("compare.confidence", 1.0),
        ("compare.primary.budget", 51),
        ("compare.primary.arm", "real+gann"),
        ("compare.primary.reference", "unreal"),
        ("compute.device", "gpu"),
        ("compute.precision", "half"),
        ("compute.workers", 0),
    ],
)
def test_an_impossible_value_is_named(key: str, value: Any) -> None:
    assert message(changed(key, value)).startswith(key)


def test_an_impossible_distortion_of_a_variant_is_named() -> None:
    variant = {"name": "far", "of": "real+classical", "distortion": {"rotate": 181}}
    said = message(changed("variants.baseline", [variant]))
    assert said == "variants: distortion of far: rotate: must be at most 180 degrees"


def test_a_distortion_that_tells_nothing_apart_is_noted() -> None:
    blur = COMMITTED["arms"]["classical"]["blur"]
    far = {"of": "real+gan+classical", "distortion": {"rotate": 60.0}}
    alone = changed("variants.generated", [{"name": "far", **far}])
    assert notes(to_params(alone)) == [
        "variants: far is held against real+gan+classical alone, as no arm of real images is distorted as far; add a "
        "variant of real+classical with its distortion"
    ]
    alone["variants"]["baseline"] = [{"name": "real far", **far, "of": "real+classical"}]
    assert notes(to_params(alone)) == []
    same = changed("variants.baseline", [{"name": "same", "of": "real+copies", "distortion": {"blur": blur}}])
    assert notes(to_params(same)) == ["variants: same is distorted as all arms are; leave its distortion out"]


def test_own_settings_at_a_budget_that_is_not_studied_are_noted() -> None:
    own = [{"arm": arm, "budget": budget, "steps": 9} for arm in ("real", "gan") for budget in (50, 51, 7)]
    assert notes(to_params(changed("arms.own_settings", own))) == [
        "arms.own_settings: what is set at 7, 51 a class is not used; study.budgets lacks it"
    ]
    batch = [{"arm": "real+gan", "budget": 50, "batch_size": 4}]
    said = message(changed("arms.own_settings", batch))
    assert "0.1 of a batch of 4, which real+gan has at 50 a class, leaves no synthetic" in said
    for budget in (0, -3):
        own = [{"arm": "real", "budget": budget, "steps": 9}]
        assert message(changed("arms.own_settings", own)).endswith(f"budget: must be positive, got {budget}")


def test_an_arm_is_not_compared_with_itself() -> None:
    arm = COMMITTED["compare"]["primary"]["arm"]
    assert message(changed("compare.primary.reference", arm)).startswith("compare.primary.reference: ")


def test_sections_are_those_that_are_known_and_all_of_them() -> None:
    assert message({**COMMITTED, "gans": {}}).startswith("gans: unknown section; known sections: study, data, ")
    for section in COMMITTED:
        assert message(changed(section, remove=True)).startswith(f"{section}: missing section; ")


def test_what_may_be_left_out_or_null_is_taken() -> None:
    assert to_params(changed("compute.workers", 3)).compute.workers == 3
    assert to_params(changed("compute.workers", None)).compute.workers is None
    assert to_params(changed("arms.classical.rotate", 5)).arms.classical.rotate == 5.0


def test_the_stage_leaves_its_mark_only_when_all_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    monkeypatch.chdir(tmp_path)
    good, bad = ROOT / "params.yaml", tmp_path / "bad.yaml"
    bad.write_text(good.read_text().replace("\ngan:", "\ngan:\n  stepps: 3"))
    with pytest.raises(InputError, match=r"^gan\.stepps: "):
        check(Stage("check", None, {}, bad))
    assert not Path("artifacts").exists()
    check(Stage("check", None, {}, good))
    first = {path.name: path.read_bytes() for path in Path("artifacts/check").iterdir()}
    good_too = tmp_path / "good.yaml"
    good_too.write_text(good.read_text().replace(f"seed: {COMMITTED['study']['seed']}", "seed: 5"))
    check(Stage("check", None, {}, good_too))
    assert {path.name: path.read_bytes() for path in Path("artifacts/check").iterdir()} == first


@pytest.mark.parametrize(("precision", "lines"), [("auto", 0), ("float32", 0), ("tf32", 1)])
def test_tf32_on_a_cpu_is_said_to_be_float32(
    precision: str, lines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    monkeypatch.chdir(tmp_path)
    values = changed("compute.precision", precision)
    values["compute"]["device"] = "cpu"
    Path("params.yaml").write_text(json.dumps(values))  # JSON is YAML
    check(Stage("check", None, {}, Path("params.yaml")))
    said = capsys.readouterr().out
    assert said.count("\n") == lines == said.count("compute.precision: tf32 is a GPU's; ")


@pytest.mark.parametrize("native", [True, False])
def test_bf16_where_it_is_slow_is_said(
    native: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.stages.check.is_native", lambda device: native)
    values = changed("compute.precision", "bf16")
    values["compute"]["device"] = "cpu"
    Path("params.yaml").write_text(json.dumps(values))  # JSON is YAML
    check(Stage("check", None, {}, Path("params.yaml")))
    line = "compute.precision: this machine has no instructions for bf16, and is slower with it. Set it to auto\n"
    assert capsys.readouterr().out == ("" if native else line)
