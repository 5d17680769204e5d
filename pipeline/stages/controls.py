"""The controls' predictions and what each saw, from the artifacts on disk: for stage compare and `pipeline.verify`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.controls import ARMS, control_breaks
from pipeline.errors import InputError
from pipeline.files import read_json
from pipeline.images import load_arrays
from pipeline.provenance import array_to_digest

CONTROLS = Path("artifacts/controls")


def gather_controls(
    provenance: Mapping[str, Any], models: Sequence[str]
) -> tuple[dict[int, dict[str, NDArray[np.int64]]], dict[str, Any], list[str]]:
    """Of every budget that `provenance` (results/provenance.json, as the artifacts have it) lists: predictions by
    "model/arm" (R, T); entry `controls` of that document, what each saw and predicted; and a line for each break.
    Nothing without `models`. Raises InputError where one of them was not trained.
    """
    if not models:
        return {}, {}, []
    tables, document = {}, {}
    lines: list[str] = []
    for budget, chain in provenance["budgets"].items():
        made = load_arrays(CONTROLS / budget / "predictions.npz")
        saw = read_json(CONTROLS / budget / "inputs.json")
        keys = [f"{model}/{arm}" for model in models for arm in ARMS]
        if missing := [key for key in keys if key not in made or key not in saw]:
            raise InputError(f"{CONTROLS / budget}: no control {missing[0]}; run `dvc repro`")
        own = {key: made[key].astype(np.int64) for key in keys}
        tables[int(budget)] = own
        lines += control_breaks(
            int(budget), {key: saw[key] for key in keys}, chain["replicates"], provenance["data"]["test_images"]
        )
        document[budget] = {
            key: [
                {**handed, "predictions": array_to_digest(row)} for handed, row in zip(saw[key], own[key], strict=False)
            ]
            for key in keys
        }
    return tables, {"controls": document}, lines
