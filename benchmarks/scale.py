"""What many studies cost, from one: bytes and objects that DVC keeps, rows and bytes in Prefect's database.

    python -m benchmarks.scale                 # of 10,000 studies like the one in dvc.lock, each on a seed of its own
    python -m benchmarks.scale --studies 100 --rounds 5

Bytes are those that dvc.lock lists: outs that depend on `study.seed` are each study's own, the others are stored once.
Rows are counted in the database of a temporary Prefect server before and after forced flow runs over chains of stages
that do nothing; what a stage costs is the slope between a short and a long chain. A line that a stage prints is a row
more, which these chains do not have: a training prints one in ten seconds.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from prefect.settings import (
    PREFECT_SERVER_ANALYTICS_ENABLED,
    PREFECT_SERVER_DATABASE_CONNECTION_URL,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness
from ruamel.yaml import YAML

from benchmarks.overhead import LONG, SHORT, chain, flow
from pipeline.progress import PLAIN_EVERY


class Kept(NamedTuple):
    """Of one study, or of all: bytes and objects (files, and a list for each folder) in DVC's cache."""

    size: int
    objects: int

    def __add__(self, other: Any) -> Kept:
        return Kept(self.size + other.size, self.objects + other.objects)


def lock_to_kept(lock: dict[str, Any], uncached: set[str]) -> tuple[Kept, Kept]:
    """(Own, shared) of the stages of a dvc.lock. uncached: outs that lie in Git."""
    stages = lock["stages"]
    makers = {out["path"]: name for name, stage in stages.items() for out in stage.get("outs", [])}

    def seeded(name: str) -> bool:
        params = stages[name].get("params", {}).get("params.yaml", {})
        if "study.seed" in params:
            return True
        deps = [dep["path"] for dep in stages[name].get("deps", [])]
        return any(seeded(maker) for out, maker in makers.items() if out in deps or any(_holds(d, out) for d in deps))

    own, shared = Kept(0, 0), Kept(0, 0)
    for name, stage in stages.items():
        for out in stage.get("outs", []):
            if out["path"] not in uncached:
                kept = Kept(out["size"], out.get("nfiles", 0) + 1)
                # A record of a run tells when it was.
                if seeded(name) or out["path"].startswith("artifacts/runs/"):
                    own += kept
                else:
                    shared += kept
    return own, shared


def _holds(folder: str, path: str) -> bool:
    return path.startswith(folder + "/")


def uncached_outs(document: dict[str, Any]) -> set[str]:
    """The outs of a dvc.yaml that say `cache: false`."""
    found = set()
    for stage in document["stages"].values():
        for kind in ("outs", "metrics", "plots"):
            for entry in stage.get(kind, []):
                if isinstance(entry, dict):
                    found |= {path for path, options in entry.items() if options.get("cache") is False}
    return found


def count_rows(database: Path) -> Counter[str]:
    """Rows of each table, and bytes of all as `bytes`."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        names = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        rows = {name: connection.execute(f'select count(*) from "{name}"').fetchone()[0] for name in names}
        pages = connection.execute("select page_count * page_size from pragma_page_count, pragma_page_size")
        return Counter(rows | {"bytes": pages.fetchone()[0]})


def rows_per_run(root: Path, database: Path, rounds: int) -> dict[str, float]:
    """What one forced run of the flow over `root` adds, the mean of `rounds` after a first one."""
    flow(root, True)
    before = count_rows(database)
    for _ in range(rounds):
        flow(root, True)
    after = count_rows(database)
    return {name: (after[name] - before[name]) / rounds for name in after if after[name] != before[name]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    many, yaml = arguments.studies, YAML(typ="safe")
    lock = yaml.load(Path("dvc.lock"))
    own, shared = lock_to_kept(lock, uncached_outs(yaml.load(Path("dvc.yaml"))))
    total = Kept(own.size * many, own.objects * many) + shared
    stages = len(lock["stages"])
    print(f"a study's own: {own.size / 1e6:.1f} MB in {own.objects} objects; shared: {shared.size / 1e6:.1f} MB")
    print(f"{many} studies: {total.size / 1e9:.0f} GB in {total.objects / 1e6:.2f} million objects")
    print(f"dvc.lock: {Path('dvc.lock').stat().st_size / 1e3:.1f} kB, {stages} stages", flush=True)
    quiet = temporary_settings({PREFECT_SERVER_ANALYTICS_ENABLED: False})
    with tempfile.TemporaryDirectory() as name, quiet, prefect_test_harness(server_startup_timeout=300):
        database = Path(str(PREFECT_SERVER_DATABASE_CONNECTION_URL.value()).partition("///")[2])
        short, long = (
            rows_per_run(chain(Path(name, str(count)), count), database, arguments.rounds) for count in (SHORT, LONG)
        )
    for table in sorted(set(short) | set(long), key=lambda table: -long.get(table, 0)):
        slope = (long.get(table, 0) - short.get(table, 0)) / (LONG - SHORT)
        run = short.get(table, 0) - SHORT * slope
        study = run + stages * slope
        said = f"{run:.1f} a run and {slope:.1f} a stage; a study {study:.0f}"
        print(f"{table}: {said}; all {study * many / 1e6:.2f} million")
    print(f"and in `log` one for each {PLAIN_EVERY:.0f} s of training")


if __name__ == "__main__":
    main()
