"""The ledger of openings: every set of test predictions whose accuracies the repository has held, a row each.

`python -m pipeline.openings` adds what it finds in the Git history to docs/openings.csv; the page prints it. Rows stay,
also where the commit is gone or a clone is shallow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.errors import InputError

LEDGER = Path("docs/openings.csv")
ACCURACIES = Path("results/accuracies.csv")
TRIALS = ("development", "validation")  # parts of the data that leave the test set shut
UNKNOWN = "unknown"  # the test set of predictions whose params nobody kept
TEXTS = ["predictions", "commit", "date", "data", "part", "seed", "recipe", "arm", "reference"]  # as they are written
# predictions: a key of what was predicted. commit, date: the oldest that held it, UTC. data, part: which test images.
# The rest is the primary contrast of results/metrics.json.
COLUMNS = [*TEXTS[:7], "budget", "arm", "reference", "replicates", "delta", "ci_low", "ci_high"]


@dataclass(frozen=True)
class Reuse:
    """How often one test set was opened. test_set: its name. openings: rows of the ledger, oldest first. trials: how
    many on the development part of the same data, or tested on it. known: the study at hand is among them (or, a trial,
    opens nothing).
    """

    test_set: str
    openings: pd.DataFrame
    trials: int
    known: bool

    @property
    def times(self) -> int:
        """Openings, the study at hand counted once."""
        return len(self.openings) + (not self.known)


def read_ledger(path: Path = LEDGER) -> pd.DataFrame:
    """The rows at `path`, none if there is no such file. Raises InputError if it is damaged."""
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    try:
        return pd.read_csv(path, dtype=dict.fromkeys(TEXTS, str), keep_default_na=False, na_values=[""])[COLUMNS]
    except (ValueError, KeyError, OSError) as error:
        raise InputError(f"{path}: damaged ({error}); restore it with `git checkout {path}`") from None


def accuracies_to_key(content: bytes) -> str:
    """What stands for a study's predictions: a digest of results/accuracies.csv, whose figures follow from them and
    the test labels alone: neither the margin nor the verdicts change it."""
    return hashlib.sha256(content).hexdigest()[:16]


def data_to_test_set(data: Mapping[str, Any]) -> str:
    """The test set that section `data` of the params names: the official one of a source, at whatever size, rotated or
    blurred or as it is, or USPS's where that stands in for it; or what is held out of a folder."""
    if data.get("shift") == "usps":
        return "usps"
    if data.get("source") != "folder":
        return str(data.get("source", UNKNOWN))
    return f"folder {data.get('root')}, {data.get('test_fraction')} by seed {data.get('split_seed')}"


def count(ledger: pd.DataFrame, data: Mapping[str, Any], key: str) -> Reuse:
    """The openings of the test set of `data`, and those of an unknown one, which may have been the same; `key`: of the
    study at hand, by `accuracies_to_key`."""
    name = data_to_test_set(data)
    rows = ledger[ledger["data"].isin([name, UNKNOWN])]
    openings = rows[~rows["part"].isin(TRIALS)].sort_values("date", kind="stable")
    trial = data.get("part") in TRIALS
    return Reuse(name, openings, len(rows) - len(openings), trial or key in set(openings["predictions"]))
