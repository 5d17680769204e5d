"""dvc.yaml against the code: each stage depends on what it imports, and on nothing that would leak or retrain."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
STAGES: dict[str, dict[str, Any]] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "pipeline").rglob("*.py"))
INITS = [module for module in MODULES if module.endswith("__init__.py")]


def entries(stage: str, key: str) -> list[str]:
    """The paths (or params) under `key` of a stage, without their options."""
    listed = STAGES[stage].get(key, [])
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in listed]


def outputs(stage: str) -> list[str]:
    return [path for key in ("outs", "metrics", "plots") for path in entries(stage, key)]


def overlap(one: str, other: str) -> bool:
    """Is one path the other, or a folder that holds it?"""
    a, b = Path(one).parts, Path(other).parts
    return a[: len(b)] == b[: len(a)]


@functools.cache
def upstream(stage: str) -> frozenset[str]:
    """Every stage that this one waits for, and itself."""
    deps = entries(stage, "deps")
    makers = {
        maker for maker in STAGES if maker != stage and any(overlap(out, dep) for out in outputs(maker) for dep in deps)
    }
    return frozenset({stage}).union(*map(upstream, makers))


def reached(stage: str, key: str) -> set[str]:
    """Deps or params of a stage and of every stage that it waits for."""
    return {entry for maker in upstream(stage) for entry in entries(maker, key)}


@functools.cache
def imported(module: str) -> tuple[tuple[str, str], ...]:
    """(dotted module, name taken from it or an empty text) of each import anywhere in a file."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: import by the full name, so that this test can follow"
            found += [(node.module or "", alias.name) for alias in node.names]
    return tuple(found)


def own_imports(module: str) -> Iterator[str]:
    """The files of this package that a file imports; `from pipeline import seeds` means pipeline/seeds.py."""
    for dotted, name in imported(module):
        if dotted.split(".")[0] == "pipeline":
            path = dotted.replace(".", "/")
            for candidate in (f"{path}/{name}.py", f"{path}/{name}/__init__.py", f"{path}.py", f"{path}/__init__.py"):
                if (ROOT / candidate).exists():
                    yield candidate
                    break
            else:
                raise AssertionError(f"{module} imports {dotted} {name}, which is no file")


def closure(module: str) -> set[str]:
    """The file and all of this package that it imports, and they import; without `__init__.py`, which hold nothing."""
    found, left = set(), [module]
    while left:
        here = left.pop()
        if here not in found:
            found.add(here)
            left += own_imports(here)
    return {path for path in found if not path.endswith("__init__.py")}


def code_deps(stage: str) -> set[str]:
    """The files of pipeline/ that a stage lists; of a folder, all that it holds."""
    listed = [ROOT / dep for dep in entries(stage, "deps") if Path(dep).parts[0] == "pipeline"]
    files = {file for path in listed for file in ([path] if not path.is_dir() else path.rglob("*"))}
    return {
        file.relative_to(ROOT).as_posix()
        for file in files
        if not file.is_dir() and "__pycache__" not in file.parts and file.name != "__init__.py"
    }


def expected_code(stage: str) -> set[str]:
    """What a stage imports, and the templates of the package that draws the page, if it imports that."""
    found = closure(f"pipeline/stages/{stage}.py")
    if any(path.startswith("pipeline/report/") for path in found):
        held = [path for path in (ROOT / "pipeline" / "report").rglob("*") if path.is_file()]
        found |= {path.relative_to(ROOT).as_posix() for path in held if path.suffix not in (".py", ".pyc")}
    return found


CHECKED = [stage for stage in STAGES if stage != "check"]


@pytest.mark.parametrize(
    ("stage", "module"),
    sorted((stage, path) for stage in CHECKED for path in expected_code(stage) | code_deps(stage)),
)
def test_a_stage_depends_on_exactly_what_it_imports(stage: str, module: str) -> None:
    if module not in code_deps(stage):
        pytest.fail(f"stage {stage} imports {module}: add it to its deps, or a change goes unseen")
    if module not in expected_code(stage):
        pytest.fail(f"stage {stage} does not import {module}: remove it from its deps, or it retrains for nothing")


def used_params(stage: str) -> set[str]:
    """The keys that a stage's code asks for: `stage.value("study.seed")`, `stage.config("gan", ...)`, `compute`."""
    found = set()
    for module in closure(f"pipeline/stages/{stage}.py"):
        if module.startswith("pipeline/stages/"):
            for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(
                        func=ast.Attribute(ast.Name("stage"), "value" | "config"), args=[ast.Constant(key), *_]
                    ):
                        found.add(key)
                    case ast.Call(func=ast.Attribute(ast.Name("stage"), "compute")):
                        found |= {"compute.device", "compute.precision"}
                    case ast.Call(func=ast.Name("Many")):
                        found |= {"compute.at_once", "compute.capture"}
    return found


@pytest.mark.parametrize("stage", [stage for stage in CHECKED if stage != "report"])
def test_a_stage_declares_exactly_the_params_that_it_asks_for(stage: str) -> None:
    declared, used = set(entries(stage, "params")), used_params(stage)
    assert used
    for key in used:
        assert any(f"{key}.".startswith(f"{known}.") for known in declared), f"{stage} asks for {key}: declare it"
    for key in declared:
        assert any(f"{asked}.".startswith(f"{key}.") for asked in used), f"{stage} never asks for {key}: it would rerun"


def test_the_check_depends_on_all_code_params_and_recipes() -> None:
    assert {"pipeline", "params.yaml", "conf/gan"} == set(entries("check", "deps"))
    assert not entries("check", "params")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_its_own_module(stage: str) -> None:
    command = f"python -m pipeline.stages.{stage}"
    if "matrix" in STAGES[stage]:
        command += " --budget ${item.budget}"
    assert STAGES[stage]["cmd"] == command
    assert f"pipeline/stages/{stage}.py" in MODULES


@pytest.mark.parametrize("module", INITS)
def test_a_package_holds_nothing_but_its_docstring(module: str) -> None:
    body = ast.parse((ROOT / module).read_text(encoding="utf-8")).body
    assert [type(node) for node in body] == [ast.Expr], f"{module}: what it imports is seen by no stage's deps"
    assert ast.get_docstring(ast.Module(body, []))


@pytest.mark.parametrize("module", MODULES)
def test_dvc_and_prefect_stay_out(module: str) -> None:
    roots = {dotted.split(".")[0] for dotted, _ in imported(module)}
    assert "prefect" not in roots
    assert "dvc" not in roots or module.startswith("pipeline/stages/")
    assert not roots & {"flows", "app", "benchmarks", "tests"}


@pytest.mark.parametrize(
    "module",
    [
        m
        for m in MODULES
        if not m.startswith("pipeline/stages/")
        and m not in ("pipeline/studies.py", "pipeline/verify.py", "pipeline/openings.py", "pipeline/tune.py")
        and m != "pipeline/adoption.py"
    ],
)
def test_the_domain_does_not_know_the_stages(module: str) -> None:
    # studies.py is a command of its own, which holds a merged params file to the same check as the first stage;
    # verify.py is one too, which redoes what stage compare recorded, openings.py, which reads other commits' params,
    # and tune.py, which runs the stages of a trial; adoption.py writes a params file as studies.py does
    assert not [path for path in own_imports(module) if path.startswith("pipeline/stages/")]


@pytest.mark.parametrize("module", MODULES)
def test_no_imports_run_in_a_circle(module: str) -> None:
    for path in own_imports(module):
        assert module not in closure(path), f"{module} imports {path}, which imports it again"


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, pipeline; print([name for name in ('torch', 'dvc', 'prefect', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_stages_that_train_nothing_wait_for_no_torch() -> None:
    idle = ["prepare", "split", "train_teacher", "judge", "train_controls", "compare", "report"]
    code = f"import sys, {', '.join('pipeline.stages.' + stage for stage in idle)}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_checking_a_study_does_not_wait_for_the_compiler_of_torch() -> None:
    code = "import sys; from pipeline.stages.check import *; to_params(read_params(Path('params.yaml')))"
    code += "; print('torch' in sys.modules, 'torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"


def test_only_compare_opens_the_test_labels() -> None:
    labels = "artifacts/data/test_labels.npz"
    assert labels in outputs("prepare")
    assert [stage for stage in STAGES if any(overlap(labels, dep) for dep in entries(stage, "deps"))] == ["compare"]
    assert {stage for stage in STAGES if "compare" in upstream(stage)} == {"compare", "report"}


def test_no_code_but_that_of_prepare_and_compare_names_the_test_labels() -> None:
    naming = [module for module in MODULES if "test_labels.npz" in (ROOT / module).read_text(encoding="utf-8")]
    # tune.py in a folder of its own, where data.part, always `validation`, leaves the test set's labels out
    assert naming == ["pipeline/stages/compare.py", "pipeline/stages/prepare.py", "pipeline/tune.py"]


def test_the_gan_never_sees_a_test_image() -> None:
    for stage in ("train_gan", "generate", "judge"):
        assert upstream(stage) <= {"check", "prepare", "split", "train_teacher", "train_gan", "generate", "judge"}
        for maker in upstream(stage):
            assert not [dep for dep in entries(maker, "deps") if overlap("artifacts/data/test_images.npz", dep)]


def test_a_baseline_depends_on_no_gan() -> None:
    assert upstream("train_baseline") == {"check", "prepare", "split", "train_teacher", "train_baseline"}
    own = reached("train_baseline", "deps") - set(entries("check", "deps"))
    assert not [dep for dep in own if "gan" in dep.lower() or dep.startswith("artifacts/synthetic")]
    assert not [key for key in reached("train_baseline", "params") if key.split(".")[0] in ("gan", "generate")]


def test_the_oracle_is_for_audit_only() -> None:
    assert {stage for stage in STAGES if "train_oracle" in upstream(stage)} == {
        "train_oracle",
        "assess",
        "compare",
        "report",
    }


def test_arms_are_trained_under_the_same_params() -> None:
    baseline, augmented = ([*entries(stage, "params")] for stage in ("train_baseline", "train_augmented"))
    baseline.remove("variants.baseline")  # so that another use of generated images trains no baseline again
    augmented.remove("variants.generated")
    assert sorted(baseline) == sorted(augmented)
    for stage in ("train_gan", "generate", "assess", "train_baseline", "train_augmented"):
        declared = entries(stage, "params")
        assert "study" not in declared, f"{stage}: a budget more would retrain all"
        assert not {"study.budgets", "study.replicates", "compute", "compare"} & set(declared)
        assert not {f"compute.{name}" for name in ("workers", "backend", "address")} & set(declared)


def test_a_split_depends_on_no_other_budget() -> None:
    assert not {"study", "study.budgets"} & set(entries("split", "params"))
    for stage in STAGES:
        if "matrix" in STAGES[stage]:
            assert all("${item.budget}" in out for out in outputs(stage)), f"{stage}: two budgets write one file"


def test_timings_go_to_the_report_alone() -> None:
    readers = [stage for stage in STAGES if any(overlap("artifacts/runs", dep) for dep in entries(stage, "deps"))]
    assert readers == ["report"]
