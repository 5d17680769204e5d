"""What many studies cost, from one: bytes and objects that DVC keeps, rows and bytes in Prefect's database.

    python -m benchmarks.scale                 # of 10,000 studies like the one in dvc.lock, each on a seed of its own
    make serve && python -m benchmarks.scale --served '{"fresh": "seed"}'      # and the rows that a run of it leaves

Bytes are those that dvc.lock lists: outs that depend on `study.seed` are each study's own, the others are stored once.
Rows are counted in the database of the server that `make serve` started here, on SQLite, before and after one run of
the deployment `on-demand` with what is asked of it in JSON; let nothing else run there meanwhile. A fresh seed trains
everything, and opens the test set; `{"force": true}` takes finished replicates from .cache/, and so prints less. A
longer study prints more: each line of a training is a row of `log`, and, for its progress, one of `events` and several
of `event_resources`.
"""

from __future__ import annotations

import argparse
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from pipeline.progress import PLAIN_EVERY

ENV, DATABASE = Path(".prefect/env"), Path(".prefect/prefect.db")
RUN = '. .prefect/env && prefect deployment run augmentation-study/on-demand --watch --param "study=$0"'
SETTLED = 5.0  # seconds without a new row after which a run has left all of its rows


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


def rows_of_a_run(study: str) -> Counter[str]:
    """What one run through the deployment adds. study: what is asked of it, as JSON."""
    before = settled_rows()
    done = subprocess.run(["sh", "-c", RUN, study], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"the run failed:\n{(done.stderr or done.stdout)[-2000:]}")
    return settled_rows() - before


def settled_rows() -> Counter[str]:
    """The rows as they are when no more come: events and logs are written in batches."""
    rows = count_rows(DATABASE)
    while True:
        time.sleep(SETTLED)
        last, rows = rows, count_rows(DATABASE)
        if rows == last:
            return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--served", metavar="STUDY", help="run this, as JSON, through `make serve`, and count its rows")
    arguments = parser.parse_args()
    many, yaml = arguments.studies, YAML(typ="safe")
    lock = yaml.load(Path("dvc.lock"))
    own, shared = lock_to_kept(lock, uncached_outs(yaml.load(Path("dvc.yaml"))))
    total = Kept(own.size * many, own.objects * many) + shared
    print(f"a study's own: {own.size / 1e6:.1f} MB in {own.objects} objects; shared: {shared.size / 1e6:.1f} MB")
    print(f"{many} studies: {total.size / 1e9:.0f} GB in {total.objects / 1e6:.2f} million objects")
    print(f"dvc.lock: {Path('dvc.lock').stat().st_size / 1e3:.1f} kB, {len(lock['stages'])} stages", flush=True)
    if not arguments.served:
        return
    if not (ENV.exists() and DATABASE.exists()):
        sys.exit(f"{ENV} or {DATABASE}: no such file; `make serve`, without PostgreSQL, makes both")
    rows = rows_of_a_run(arguments.served)
    size = rows.pop("bytes", 0)
    for table in sorted(rows, key=lambda table: -rows[table]):
        print(f"{table}: {rows[table]} a study; all {rows[table] * many / 1e6:.2f} million")
    print(f"bytes: {size / 1e6:.2f} MB a study; all {size * many / 1e9:.1f} GB")
    print(f"and some more in `log`, `events` and `event_resources` for each {PLAIN_EVERY:.0f} s of a training")


if __name__ == "__main__":
    main()
