"""What every stage shares: its command line, its declared params, outputs written whole, one-line errors, its record.

`python -m pipeline.stages.NAME [--budget N]` runs under DVC and sees only the params that dvc.yaml declares for it;
with `--params FILE` it reads that file instead and needs no DVC.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.config import from_mapping
from pipeline.errors import InputError

T = TypeVar("T")
PARAMS = Path("params.yaml")
GRAPH = Path("dvc.yaml")
RUNS = Path("artifacts/runs")
VERSIONS = ("torch", "torchvision", "numpy", "scipy", "pandas", "scikit-learn", "imbalanced-learn")


class Stage:
    """One run of one stage.

    name: as in dvc.yaml, `train_gan@50` for a budget's. budget: real images a class, or None. params: the sections that
    the stage may read.
    """

    def __init__(self, name: str, budget: int | None, params: Mapping[str, Any], params_file: Path) -> None:
        self.name, self.budget, self.params = name, budget, params
        self.params_file = params_file
        self.facts: dict[str, Any] = {}  # what the record says besides time and versions

    def config(self, section: str, cls: type[T]) -> T:
        """Section `section` as the dataclass `cls`. Raises InputError naming the key that is wrong or undeclared."""
        return from_mapping(cls, self.value(section), section)

    def value(self, key: str) -> Any:
        """One declared value, by its dotted key (`study.seed`)."""
        found: Any = self.params
        for part in key.split("."):
            if not isinstance(found, Mapping) or part not in found:
                raise InputError(
                    f"{key}: not among the params of stage {self.name}; add it to params.yaml and dvc.yaml"
                )
            found = found[part]
        return found

    def compute(self, cls: type[T]) -> T:
        """Section `compute`: what is declared of it, and the rest (which changes no result) from the params file."""
        rest = read_params(self.params_file).get("compute") or {}
        return from_mapping(cls, {**rest, **self.value("compute")}, "compute")

    def cpus(self, cls: type[T]) -> T:
        """Section `compute` for a stage that uses CPUs whatever `device` says: none of it changes the result, and none
        is declared.
        """
        return from_mapping(cls, {**(read_params(self.params_file).get("compute") or {}), "device": "cpu"}, "compute")

    def path(self, kind: str, name: str = "") -> Path:
        """`artifacts/KIND/BUDGET/NAME`, where this budget's artifacts of one kind lie."""
        return Path("artifacts", kind, str(self.budget), name)


def run(name: str, body: Callable[[Stage], None], per_budget: bool = False, recorded: bool = True) -> None:
    """The command line of stage `name`: call `body`, then write the record `artifacts/runs/NAME.json` if `recorded`.

    A mistake of the user's ends in one line and exit status 2, an interrupt in one line and 130.
    """
    parser = argparse.ArgumentParser(prog=f"python -m pipeline.stages.{name}", description=f"Stage {name} of dvc.yaml.")
    if per_budget:
        parser.add_argument("--budget", type=int, required=True, help="real images per class")
    parser.add_argument("--params", type=Path, help="read this file instead of params.yaml, and run without DVC")
    arguments = parser.parse_args()
    budget = arguments.budget if per_budget else None
    full_name = name if budget is None else f"{name}@{budget}"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        params = declared_params(full_name) if arguments.params is None else read_params(arguments.params)
        stage = Stage(full_name, budget, params, arguments.params or PARAMS)
        began = time.perf_counter()
        body(stage)
        if recorded:
            write_json(RUNS / f"{full_name}.json", record(stage, time.perf_counter() - began))
    except InputError as error:
        sys.exit(_fail(f"{full_name}: {error}", 2))
    except KeyboardInterrupt:
        sys.exit(_fail(f"{full_name}: interrupted; `dvc repro` takes up where it stopped", 130))


def declared_params(stage: str) -> dict[str, Any]:
    """What dvc.yaml declares for `stage`, and nothing else: an undeclared use fails loudly.

    Read from the two files, where DVC's own `params_show` gives the same and takes most of a second. Raises InputError
    if dvc.yaml has no such stage.
    """
    name, values, declared = stage.split("@")[0], read_params(PARAMS), dict[str, Any]()
    stages = read_params(GRAPH).get("stages") or {}
    if name not in stages:
        raise InputError(f"{GRAPH}: has no stage {name}; give the params by --params {PARAMS}")
    for key in stages[name].get("params") or ():
        *sections, last = key.split(".")
        source: Any = values
        chosen = declared
        for section in sections:
            source = source.get(section) if isinstance(source, Mapping) else None
            chosen = chosen.setdefault(section, {})
        if isinstance(source, Mapping) and last in source:
            chosen[last] = source[last]
    return declared


def read_params(path: Path) -> dict[str, Any]:
    """The params file, or dvc.yaml, as nested dicts. Raises InputError if it is missing or not YAML."""
    try:
        values = YAML(typ="safe").load(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; restore it with `git checkout {path}`") from None
    except YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected sections of keys")
    return values


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write into, which takes its place at `path` only when all has been written."""
    part = path.with_name(path.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        shutil.rmtree(path, ignore_errors=True)
        os.replace(part, path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def write_json(path: Path, value: object) -> None:
    """Pretty JSON, whole or not at all."""
    _write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """CSV with six significant digits, whole or not at all."""
    _write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def record(stage: Stage, seconds: float) -> dict[str, Any]:
    """Who made an artifact, with what, and how long it took: the one output that differs from run to run."""
    return {
        "stage": stage.name,
        "seconds": round(seconds, 2),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        },
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in VERSIONS},
        **stage.facts,
    }


def processor() -> str:
    """This machine's, `AMD EPYC, family 26 model 2`: a name alone may be that of several, which round otherwise."""
    try:
        pairs = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
        first: dict[str, str] = {}
        for key, _, value in pairs:
            first.setdefault(key.strip(), value.strip())
        family = f", family {first['cpu family']} model {first['model']}" if "cpu family" in first else ""
        return first["model name"] + family
    except (OSError, KeyError):
        return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    os.replace(part, path)


def _fail(line: str, status: int) -> int:
    print(line, file=sys.stderr)
    return status
