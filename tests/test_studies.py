"""Merging a named study into params.yaml: its keys change, all else stays as it was, and a mistake changes nothing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from pipeline import studies
from pipeline.errors import InputError
from pipeline.stages.check import to_params
from pipeline.stages.stage import read_params
from pipeline.studies import merge_study

NAMES = sorted(path.stem for path in (Path(__file__).parent.parent / "conf").glob("*.yaml"))


@pytest.fixture
def params(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of params.yaml in a folder with the recipes and an empty folder `mine` for studies."""
    shutil.copytree(root / "conf", tmp_path / "conf")
    shutil.copy(root / "params.yaml", tmp_path)
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "params.yaml"


def merge(params: Path, text: str) -> None:
    (params.parent / "mine" / "study.yaml").write_text(text)
    merge_study("study", params, params.parent / "mine")


def test_the_keys_of_the_study_change_and_every_other_line_stays(params: Path) -> None:
    before, values = params.read_text().splitlines(), read_params(params)
    seed, steps = values["study"]["seed"] + 1, values["gan"]["steps"] + 1
    merge(
        params,
        f"study:\n  seed: {seed}\n  budgets: [10, 50]\ngan:\n  steps: {steps}\narms: {{classical: {{scale: 0.2}}}}",
    )
    after = params.read_text().splitlines()
    assert len(after) == len(before)
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [new.split("#")[0].strip() for _, new in changed] == [
        f"seed: {seed}",
        "budgets: [10, 50]",
        f"steps: {steps}",
        "scale: 0.2",
    ]
    for old, new in changed:
        assert new.partition("#")[2] == old.partition("#")[2], "a comment was lost"
    values["study"] |= {"seed": seed, "budgets": [10, 50]}
    values["gan"]["steps"], values["arms"]["classical"]["scale"] = steps, 0.2
    assert read_params(params) == values
    assert not list(params.parent.glob("*.part"))


def test_lists_that_fill_and_empty_again_leave_the_same_bytes(params: Path) -> None:
    before = params.read_bytes()
    filled = {
        "arms": {"own_settings": [{"arm": "real", "steps": 500}, {"arm": "gan", "steps": 5}]},
        "variants": {"baseline": [{"name": "natural", "of": "real", "batches": "natural"}]},
    }
    studies.merge(filled, "here", params)
    assert to_params(read_params(params)).arms.own_settings[1].steps == 5
    studies.merge({"arms": {"own_settings": []}, "variants": {"baseline": []}}, "here", params)
    assert params.read_bytes() == before  # the comment behind the last item, too


def test_a_study_that_changes_nothing_leaves_the_same_bytes(params: Path) -> None:
    before = params.read_bytes()
    merge(params, f"study:\n  seed: {read_params(params)['study']['seed']}\n")
    assert params.read_bytes() == before


@pytest.mark.parametrize("name", NAMES)
def test_a_study_of_conf_is_valid(name: str, params: Path) -> None:
    merge_study(name, params)
    to_params(read_params(params))
    for section, keys in read_params(Path("conf") / f"{name}.yaml").items():
        assert {key: read_params(params)[section][key] for key in keys}.keys() == keys.keys()


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_params_are_the_quick_study_and_it_undoes_every_other(name: str, params: Path) -> None:
    before = params.read_bytes()
    merge_study(name, params)
    merge_study("quick", params)
    assert params.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gan:\n  stepps: 5\n", "study study.gan: stepps is not in params.yaml"),
        ("gann:\n  steps: 5\n", "study study: gann is not in params.yaml"),
        ("arms:\n  classical:\n    bend: 1\n", "study study.arms.classical: bend is not in params.yaml"),
        ("study:\n  seed: 3\ngan:\n  steps: 0\n", "gan.steps: must be positive"),
        ("gan:\n  steps: many\n", "gan.steps: must be a whole number, got 'many'"),
        ("gan:\n  recipe: unheard_of\n", "gan.recipe: unknown recipe 'unheard_of'"),
        ("study:\n  budgets: [11]\n", "compare.primary.budget: "),
        ("study: 5\n", "study: expected a section of keys, got 5"),
        ("- gan\n", "study.yaml: expected sections of keys"),
        ("gan: {steps: 5\n", "study.yaml: not valid YAML"),
    ],
)
def test_a_mistake_names_the_key_and_changes_nothing(text: str, message: str, params: Path) -> None:
    before = params.read_bytes()
    with pytest.raises(InputError) as error:
        merge(params, text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert params.read_bytes() == before
    assert not list(params.parent.glob("*.part"))


def test_an_unknown_study_lists_the_known(params: Path) -> None:
    (params.parent / "mine" / "b.yaml").touch()
    (params.parent / "mine" / "a.yaml").touch()
    with pytest.raises(InputError, match=r"^unknown study 'c'; known studies: a, b$"):
        merge_study("c", params, params.parent / "mine")


@pytest.mark.parametrize("text", [None, "study: {seed: 3\n"])
def test_params_that_are_missing_or_broken_are_named(text: str | None, params: Path) -> None:
    params.unlink()
    if text is not None:
        params.write_text(text)
    with pytest.raises(InputError, match=r"params\.yaml: (no such file|not valid YAML)") as error:
        merge(params, "study:\n  seed: 3\n")
    assert "\n" not in str(error.value)


def test_the_command_line_says_one_line(
    params: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["studies", "quick"])
    studies.main()
    assert capsys.readouterr().out.startswith("params.yaml now holds the study quick;")
    monkeypatch.setattr(sys, "argv", ["studies", "quickest"])
    with pytest.raises(SystemExit) as end:
        studies.main()
    assert end.value.code == 2
    assert capsys.readouterr().err == f"unknown study 'quickest'; known studies: {', '.join(NAMES)}\n"
