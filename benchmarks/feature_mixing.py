"""Do generated digits help on top of classical augmentation when they are mixed in feature space, not pixel space?

    python -m benchmarks.feature_mixing --budget 20 --replicates 4

Manifold mixup (Verma et al. 2019) at the layer before the last: of each image of a batch and a partner, features and
targets are mixed by a share drawn from Beta(alpha, alpha). A real image's partner is a generated one, and the other way
round; the control mixes distorted reals with distorted reals, so that what mixing does by itself is seen apart. All on
the development part, which no study draws, as in `benchmarks.development`; the replicates go to docs/mixing.csv.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.development import folds, generated
from benchmarks.mixed import train_mixed
from pipeline.classifier.training import Material
from pipeline.compute import run_replicates
from pipeline.seeds import derive
from pipeline.stages.check import to_params
from pipeline.stages.stage import PARAMS, read_params
from pipeline.tune import put_in

OUTPUT = Path("docs/mixing.csv")
ALPHAS = (0.2, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feature_mixing", description=__doc__)
    parser.add_argument("--budget", type=int, default=20)
    parser.add_argument("--replicates", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    params = to_params(read_params(PARAMS))
    parts = folds(params, arguments.budget, arguments.replicates)
    if params.gan.steps is None:
        parser.error("gan.steps of params.yaml is null: this wants a number of steps")
    synthetic = generated(params, params.gan.recipe, "default", params.gan.steps, parts, arguments.seed)
    settings: list[tuple[str, bool, float, float]] = [  # name, generated digits, their share, alpha
        ("real+classical", False, 0.5, 0.0),
        ("real+gan+classical", True, params.arms.synthetic_share.gan, 0.0),
        *((f"real+classical, mixed with real, alpha {alpha:g}", False, 0.5, alpha) for alpha in ALPHAS),
        *((f"real+classical, mixed with generated, alpha {alpha:g}", True, 0.5, alpha) for alpha in ALPHAS),
    ]
    keys = [(setting, number) for setting in settings for number in range(len(parts))]
    jobs = [
        {
            "material": Material(
                real=parts[number].subset,
                synthetic=synthetic[number] if mixed_in else None,
                distortion=params.arms.classical,
                synthetic_share=share,
            ),
            "test_pixels": parts[number].rest.pixels,
            "config": params.classifier,
            "seed": derive(arguments.seed, "classifier", number),
            "alpha": alpha,
        }
        for (_, mixed_in, share, alpha), number in keys
    ]
    results = run_replicates(train_mixed, jobs, params.compute, "feature mixing", [params.classifier.steps] * len(jobs))
    rows = [
        {
            "budget": arguments.budget,
            "seed": arguments.seed,
            "setting": setting[0],
            "replicate": number,
            "accuracy": float((result["predictions"] == parts[number].rest.labels).mean() * 100),
        }
        for (setting, number), result in zip(keys, results, strict=True)
    ]
    put_in(OUTPUT, pd.DataFrame(rows))
    by_setting = pd.DataFrame(rows).pivot(index="replicate", columns="setting", values="accuracy")
    gains = by_setting[[name for name, *_ in settings]].sub(by_setting["real+classical"], axis=0)
    print(
        pd.DataFrame({"accuracy": by_setting.mean(), "over real+classical": gains.mean(), "se": gains.sem()})
        .loc[gains.columns]
        .round(2)
        .to_string()
    )


if __name__ == "__main__":
    main()
