"""Is the verdict right when nothing is gained, and when something is? The instrument, measured.

    python -m benchmarks.calibration simulate     # docs/calibration.csv, its tables in calibration.md, its picture
    python -m benchmarks.calibration estimate     # what `simulate` draws from: docs/calibration-model.json
    python -m benchmarks.calibration real         # two arms identical but for seed, trained: docs/calibration-real.csv

`simulate` feeds pipeline.comparison with simulated studies of known true delta, and its rivals with the same ones.
`estimate` reads the moments of a real study out of its predictions (run `dvc repro` first); `simulate` needs only the
file it wrote. `real` trains two arms that differ by their seed alone, on the development part, again and again.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.intervals import METHODS, Studies, two_way
from benchmarks.population import Population, Shape, fit, moments, population
from pipeline.comparison import (
    CompareConfig,
    Contrast,
    MeanSquares,
    Predictions,
    differences_to_mean_squares,
    interval_to_verdict,
    predictions_to_deltas,
    sums_to_mean_squares,
)
from pipeline.errors import InputError
from pipeline.files import read_json
from pipeline.images import load_arrays
from pipeline.seeds import derive
from pipeline.stages.stage import write_csv, write_json

DOCS = Path("docs")
MODEL, ROWS, PAGE = DOCS / "calibration-model.json", DOCS / "calibration.csv", DOCS / "calibration.md"
MATCH, FAMILY, PICTURE = (
    DOCS / "calibration-match.csv",
    DOCS / "calibration-family.csv",
    DOCS / "images/calibration.png",
)

CONFIDENCE, MARGIN = 0.95, 0.25
DELTAS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)  # points
REPLICATES = (4, 6, 10, 30)
RESAMPLED_DELTAS = (0.0, 1.0)  # the bootstraps are dear; these deltas alone, and fewer studies
IMAGES = 10_000
RESAMPLERS = ("percentile", "bca", "bootstrap_t")


@dataclass(frozen=True)
class Scenario:
    """A real contrast whose moments are drawn from, and how its replicate effects are made harsher."""

    name: str
    arm: str
    reference: str
    spread: float
    shape: Shape
    words: str


SCENARIOS = (
    Scenario("gan", "real+gan", "real", 1, "normal", "as measured, `real+gan` against `real`"),
    Scenario(
        "on_classical",
        "real+gan+classical",
        "real+classical",
        1,
        "normal",
        "as measured, `real+gan+classical` against `real+classical`: the replicates decide",
    ),
    Scenario(
        "alike",
        "real+interpolated",
        "real",
        1,
        "normal",
        "as measured, `real+interpolated` against `real`: no spread between replicates could be seen",
    ),
    Scenario("failures", "real+gan", "real", 2, "failures", "`gan`, twice the spread, and now and then a bad GAN"),
    Scenario("heavy", "real+gan", "real", 2, "heavy", "`gan`, twice the spread, with heavy tails (t of 3 degrees)"),
)


# The model


def estimate(budget: int) -> None:
    """Write the moments of the study on disk, and what of it the fit does not see."""
    labels = load_arrays(Path("artifacts/data/test_labels.npz"))["labels"]
    predictions: dict[str, Any] = {}
    for kind in ("baseline", "augmented"):
        predictions |= load_arrays(Path(f"artifacts/{kind}/{budget}/predictions.npz"))
    correct = np.stack([table == labels for table in predictions.values()]).astype(np.int8)
    known = {name: np.round(values, 12).tolist() for name, values in moments(correct).items()}
    tables = dict(zip(predictions, correct, strict=True))
    observed = {s.name: described(tables[s.arm], tables[s.reference]) for s in SCENARIOS}
    shape = {"budget": budget, "replicates": correct.shape[1], "images": correct.shape[2]}
    write_json(MODEL, {**shape, "arms": list(predictions), "moments": known, "observed": observed})
    print(f"{MODEL}: moments of {len(predictions)} arms, {correct.shape[1]} replicates")


def read_model() -> tuple[Population, dict[str, Any]]:
    """The fitted population of all arms, its components not yet made possible, and the file itself."""
    if not MODEL.exists():
        raise InputError(f"{MODEL}: no such file; make it with `python -m benchmarks.calibration estimate`")
    model = read_json(MODEL)
    return fit(model["arms"], {name: np.asarray(values) for name, values in model["moments"].items()}), model


def described(arm: NDArray[np.int8], reference: NDArray[np.int8]) -> dict[str, Any]:
    """A contrast of two tables (R, T) in figures: mean squares, discordance, and two histograms over the images."""
    d = arm - reference
    squares, replicates = differences_to_mean_squares(d), len(d)
    return {
        "delta": 100 * squares.delta,
        "ms_r": squares.ms_r,
        "ms_t": squares.ms_t,
        "ms_e": squares.ms_e,
        "discordant": 100 * float((d != 0).mean()),
        # Images that the reference gets wrong in 0, 1, ... R replicates; and by wins less losses of the arm, -R to R.
        "reference_wrong": np.bincount(replicates - reference.sum(axis=0), minlength=replicates + 1).tolist(),
        "net_wins": np.bincount(d.sum(axis=0) + replicates, minlength=2 * replicates + 1).tolist(),
    }


def matched(everyone: Population, model: dict[str, Any], studies: int, seed: int) -> pd.DataFrame:
    """The real study beside `studies` simulated ones of the same size: rows of scenario, figure, real, mean, sd."""
    rows = []
    for scenario in (s for s in SCENARIOS if s.spread == 1):
        pair = everyone.pair(scenario.arm, scenario.reference)
        rng = np.random.default_rng(derive(seed, "match", scenario.name))
        levels = pair.thresholds(pair.accuracy)
        found = []
        for _ in range(studies):
            scores = pair.scores(model["replicates"], model["images"], rng)
            reference, arm = (scores > -levels[:, None, None]).astype(np.int8)
            found.append(described(arm, reference))
        for name, real in model["observed"][scenario.name].items():
            simulated = np.array([each[name] for each in found], dtype=float)
            middle, spread = simulated.mean(axis=0), simulated.std(axis=0, ddof=1)
            labels = [name] if np.ndim(real) == 0 else [f"{name} {k}" for k in _steps(name, model["replicates"])]
            values = zip(labels, np.atleast_1d(real), np.atleast_1d(middle), np.atleast_1d(spread), strict=True)
            rows += [(scenario.name, *value) for value in values]
    return pd.DataFrame(rows, columns=["scenario", "figure", "real", "simulated_mean", "simulated_sd"])


def _steps(name: str, replicates: int) -> range:
    return range(replicates + 1) if name == "reference_wrong" else range(-replicates, replicates + 1)


# The studies


@dataclass(frozen=True)
class Simulated:
    """Studies by (true delta in points, replicates), and the two-way bootstrap's bounds of the first of them."""

    studies: dict[tuple[float, int], Studies]
    two_way: dict[tuple[float, int], tuple[NDArray[np.float64], NDArray[np.float64]]]


def simulate_studies(
    pair: Population, deltas: Sequence[float], replicates: Sequence[int], images: int, count: int, dear: int, seed: int
) -> Simulated:
    """`count` studies: fresh subsets and fresh test images each.

    One draw of scores serves all deltas (the arm's threshold alone moves) and, by its first rows, all numbers of
    replicates: rows of the result that differ in these alone are not independent of each other. dear: of how many
    studies the two-way bootstrap is taken, at delta 0.
    """
    rng, resampler = np.random.default_rng(derive(seed, "scores")), np.random.default_rng(derive(seed, "two_way"))
    base = float(pair.accuracy[0])
    levels = {delta: pair.thresholds([base, base + delta / 100]) for delta in deltas}
    blocks = [slice(*ends) for ends in zip((0, *replicates), replicates, strict=False)]
    means: dict[tuple[float, int], list[NDArray[np.float64]]] = {(d, r): [] for d in deltas for r in replicates}
    squares: dict[tuple[float, int], list[MeanSquares]] = {key: [] for key in means}
    bounds: dict[tuple[float, int], list[tuple[float, float]]] = {(0.0, r): [] for r in replicates}
    for number in range(count):
        scores = pair.scores(max(replicates), images, rng)
        for delta, level in levels.items():
            reference, arm = (scores[i] > -level[i] for i in (0, 1))
            d = arm.view(np.int8) - reference.view(np.int8)
            rows, nonzero = d.sum(axis=1, dtype=np.int64), np.count_nonzero(arm != reference, axis=1)
            columns = np.zeros(images, np.int64)
            for size, block in zip(replicates, blocks, strict=True):
                columns += d[block].sum(axis=0, dtype=np.int8)
                table = sums_to_mean_squares(rows[:size], int(columns @ columns), int(nonzero[:size].sum()), images)
                means[delta, size].append(rows[:size] / images)
                squares[delta, size].append(table)
                if delta == 0 and number < dear:
                    low, high = two_way(d[:size], CONFIDENCE, resampler)
                    bounds[delta, size].append((float(low[0]), float(high[0])))
    studies = {key: Studies(np.array(means[key]), squares[key]) for key in means}
    resampled = {key: (np.array(values)[:, 0], np.array(values)[:, 1]) for key, values in bounds.items() if values}
    return Simulated(studies, resampled)


def bounds_to_row(low: NDArray[np.float64], high: NDArray[np.float64], delta: float) -> dict[str, float]:
    """Bounds (S,) in points against the true delta: coverage, both kinds of miss, claims, verdicts, widths.

    Bounds that are not numbers cover nothing and claim nothing.
    """
    count, config = len(low), CompareConfig(MARGIN, CONFIDENCE, Contrast(50, "real+gan", "real"))
    covered = float(((low <= delta) & (delta <= high)).mean())
    excluded = (low > 0) | (high < 0)
    whole = ~(np.isnan(low) | np.isnan(high))
    verdicts = [
        interval_to_verdict(a, b, 0.0 if out else 1.0, config)  # p is dual to the bounds
        for a, b, out in zip(low[whole], high[whole], excluded[whole], strict=True)
    ]
    width = (high - low)[whole]
    return {
        "studies": count,
        "coverage": 100 * covered,
        "coverage_se": 100 * math.sqrt(max(covered * (1 - covered), 1 / count / 4) / count),
        "truth_above": 100 * float((delta > high).mean()),
        "truth_below": 100 * float((delta < low).mean()),
        "excludes_0": 100 * float(excluded.mean()),
        **{word: 100 * verdicts.count(word) / count for word in ("helps", "hurts", "equivalent", "inconclusive")},
        "width": float(np.mean(width)),
        "width_median": float(np.median(width)),
    }


def simulated_rows(everyone: Population, count: int, seed: int) -> pd.DataFrame:
    """Every scenario, method, number of replicates and true delta."""
    rows = []
    for scenario in SCENARIOS:
        began = time.perf_counter()
        pair = everyone.pair(scenario.arm, scenario.reference).wider(scenario.spread, scenario.shape)
        own_seed = derive(seed, scenario.name)
        room = [delta for delta in DELTAS if pair.accuracy[0] + delta / 100 < 1]  # 98.3 % leaves none for 2 points
        drawn = simulate_studies(pair, room, REPLICATES, IMAGES, count, count // 8, own_seed)
        for (delta, replicates), studies in drawn.studies.items():
            found = {}
            for name, method in METHODS.items():
                if name in RESAMPLERS and delta not in RESAMPLED_DELTAS:
                    continue
                found[name] = method(studies.head(count // 2) if name in RESAMPLERS else studies, CONFIDENCE)
            if (delta, replicates) in drawn.two_way:
                found["two_way"] = drawn.two_way[delta, replicates]
            for name, (low, high) in found.items():
                key = {"scenario": scenario.name, "method": name, "replicates": replicates, "true_delta": delta}
                rows.append({**key, **bounds_to_row(100 * low, 100 * high, delta)})
        print(f"{scenario.name}: {count} studies, {time.perf_counter() - began:.0f} s", flush=True)
    return pd.DataFrame(rows).sort_values(["scenario", "method", "replicates", "true_delta"], kind="stable")


def family(everyone: Population, count: int, seed: int) -> pd.DataFrame:
    """All arms equally good, correlated as in the real study: how often any contrast is claimed to differ.

    One row per number of replicates; through Predictions and predictions_to_deltas, as stage compare does.
    """
    arms = population(everyone.arms, everyone.accuracy, *everyone.matrices)
    levels = arms.thresholds(np.full(len(arms.arms), 0.97))
    config = CompareConfig(MARGIN, CONFIDENCE, Contrast(50, "real+gan", "real"))
    labels, classes, rows = np.zeros(IMAGES, np.int64), ("right", "wrong"), []
    for replicates in (4, 6, 10):
        rng = np.random.default_rng(derive(seed, "family", replicates))
        found = []
        for _ in range(count):
            wrong = (arms.scores(replicates, IMAGES, rng) <= -levels[:, None, None]).astype(np.int8)
            study = Predictions({50: dict(zip(arms.arms, wrong, strict=True))}, labels, classes)
            deltas = predictions_to_deltas(study, config).set_index(["arm", "reference"])
            primary = deltas.index == ("real+gan", "real")
            claims, unadjusted = deltas["verdict"].isin(["helps", "hurts"]), (deltas["ci_low"] * deltas["ci_high"] > 0)
            small = deltas["p_holm"] < 1 - CONFIDENCE
            found.append(
                (claims[primary].any(), claims[~primary].any(), small[~primary].any(), unadjusted[~primary].any())
            )
        names = ["primary_claims", "any_secondary_claims", "any_secondary_p_holm", "any_secondary_unadjusted"]
        rates = 100 * np.array(found).mean(axis=0)
        errors = np.sqrt(rates * (100 - rates) / count)
        pairs = zip(names, rates, errors, strict=True)
        rows += [{"replicates": replicates, "studies": count, "event": n, "percent": r, "se": e} for n, r, e in pairs]
    return pd.DataFrame(rows)


# The page


def write_blocks(path: Path, blocks: dict[str, str]) -> None:
    """Replace what stands between `<!-- begin NAME -->` and `<!-- end NAME -->`; the words around are a person's."""
    text = path.read_text(encoding="utf-8")
    for name, block in blocks.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        if begin not in text or end not in text:
            raise InputError(f"{path}: no place for {name}; restore it with `git checkout {path}`")
        head, rest = text.split(begin, 1)
        text = f"{head}{begin}\n{block}\n{end}{rest.split(end, 1)[1]}"
    path.write_text(text, encoding="utf-8")


def to_markdown(table: pd.DataFrame) -> str:
    """Cells as they are, index first."""
    names = [str(name) for name in [table.index.name or "", *table.columns]]
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples()])


def rows_to_blocks(rows: pd.DataFrame, match: pd.DataFrame, families: pd.DataFrame) -> dict[str, str]:
    """The tables of docs/calibration.md, by the name of their place."""
    words = {s.name: s.words for s in SCENARIOS}
    order = [s.name for s in SCENARIOS]
    columns = [f"{r} replicates" for r in REPLICATES]
    own = rows[rows["method"] == "present"]

    def spread(table: pd.DataFrame, index: list[str], cell: pd.Series[Any]) -> pd.DataFrame:
        wide = table.assign(cell=cell).pivot(index=index, columns="replicates", values="cell")
        return wide.set_axis(columns, axis=1)

    def percent(table: pd.DataFrame, name: str) -> pd.Series[Any]:
        return table[name].map("{:.1f}".format)

    blocks = {}
    null = own[own["true_delta"] == 0]
    blocks["coverage"] = to_markdown(_named(spread(null, ["scenario"], percent(null, "coverage")), order, words))
    everything = own.groupby(["scenario", "replicates"], sort=False)["coverage"].agg(["min", "max"]).reset_index()
    text = everything["min"].map("{:.1f}".format) + " to " + everything["max"].map("{:.1f}".format)
    blocks["coverage-all"] = to_markdown(_named(spread(everything, ["scenario"], text), order, words))
    said = percent(null, "helps") + " + " + percent(null, "hurts") + " (" + percent(null, "excludes_0") + ")"
    blocks["claims"] = to_markdown(_named(spread(null, ["scenario"], said), order, words))
    widths = null["width"].map("{:.2f}".format)
    blocks["width"] = to_markdown(_named(spread(null, ["scenario"], widths), order, words))

    power = own[own["true_delta"] > 0]
    cells = percent(power, "helps") + " / " + percent(power, "equivalent")
    tables = []
    for name in order[:4:3]:
        chosen = power["scenario"] == name
        wide = spread(power[chosen], ["true_delta"], cells[chosen])
        wide.index = pd.Index([f"{name} +{delta:g}" for delta in wide.index], name="scenario and true delta")
        tables.append(wide)
    blocks["power"] = to_markdown(pd.concat(tables))

    rivals = rows[rows["true_delta"] == 0]
    cells = percent(rivals, "coverage") + " (" + rivals["width_median"].map("{:.2f}".format) + ")"
    tables = []
    for name in order:
        chosen = rivals["scenario"] == name
        wide = spread(rivals[chosen], ["method"], cells[chosen]).reindex([*METHODS, "two_way"])
        wide.index = pd.Index([f"{name}, {method}" for method in wide.index], name="scenario, method")
        tables.append(wide)
    blocks["methods"] = to_markdown(pd.concat(tables))

    shown = match[match["figure"].isin(["ms_r", "ms_t", "ms_e", "discordant"])]
    blocks["match"] = to_markdown(_match_table(shown))
    hist = match[match["figure"].str.startswith(("reference_wrong", "net_wins")) & (match["scenario"] == "gan")]
    blocks["histograms"] = to_markdown(_match_table(hist, whole=True))

    said = families["percent"].map("{:.1f}".format) + " ± " + families["se"].map("{:.1f}".format)
    wide = families.assign(cell=said).pivot(index="event", columns="replicates", values="cell")
    wide = wide.loc[["primary_claims", "any_secondary_claims", "any_secondary_p_holm", "any_secondary_unadjusted"]]
    wide.index = pd.Index(
        [
            "the primary contrast is said to help or hurt",
            "any of the 12 others is said to help or hurt",
            "any of the 12 others has a Holm-adjusted p below 0.05",
            "any of the 12 others has an interval that excludes 0 (not corrected)",
        ],
        name="all seven arms equally good, and yet",
    )
    blocks["family"] = to_markdown(wide.set_axis([f"{r} replicates" for r in wide.columns], axis=1))
    return blocks


def _named(wide: pd.DataFrame, order: Sequence[str], words: dict[str, str]) -> pd.DataFrame:
    wide = wide.loc[list(order)]
    wide.index = pd.Index([f"`{name}`: {words[name]}" for name in order], name="scenario")
    return wide


def _match_table(rows: pd.DataFrame, whole: bool = False) -> pd.DataFrame:
    form = "{:.0f}" if whole else "{:.4f}"
    table = rows.assign(
        real=rows["real"].map(form.format),
        simulated=rows["simulated_mean"].map(form.format) + " ± " + rows["simulated_sd"].map(form.format),
    )
    table.index = pd.Index(table["scenario"] + ", " + table["figure"].str.replace("_", " "), name="figure")
    return table[["real", "simulated"]]


COLOURS = {"present": "#1b5e9e", "fixed_images": "#c0651a", "percentile": "#b8373f", "bootstrap_t": "#6b4fa0"}
LABELS = {
    "present": "this project's interval",
    "fixed_images": "t-interval over replicates",
    "percentile": "bootstrap over replicates",
    "bootstrap_t": "studentised bootstrap",
}


def draw_picture(rows: pd.DataFrame, path: Path) -> None:
    """How often the interval holds the truth, and how often a gain is found."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = pyplot.subplots(1, 3, figsize=(14, 4.6), gridspec_kw={"width_ratios": [1, 1, 1.15]})
        places = range(len(REPLICATES))
        titles = {"gan": "Replicates as in the real study", "failures": "Harsher: twice the spread, some GANs fail"}
        for ax, (scenario, title) in zip(axes[:2], titles.items(), strict=True):
            ax.axhspan(93, 97, color="#dcebdc", zorder=0)
            ax.axhline(95, color="#5a8a5a", linewidth=1, zorder=1)
            for name, label in LABELS.items():
                chosen = rows[(rows["scenario"] == scenario) & (rows["method"] == name) & (rows["true_delta"] == 0)]
                chosen = chosen.set_index("replicates").loc[list(REPLICATES)]
                width = 3 if name == "present" else 1.6
                error = 2 * chosen["coverage_se"]
                ax.errorbar(
                    places, chosen["coverage"], error, color=COLOURS[name], linewidth=width, marker="o", label=label
                )
            ax.set(title=title, xlabel="replicates in the study", ylim=(72, 100), xlim=(-0.2, 3.2))
            ax.set_xticks(places, [str(r) for r in REPLICATES])
        axes[0].set_ylabel("intervals that hold the true difference, %")
        axes[0].annotate("goal: 93 to 97 %", (3.15, 93.2), ha="right", fontsize=8.5, color="#3f6f3f")
        axes[1].legend(frameon=False, fontsize=9, loc="lower right")
        shades = ["#9dc3e6", "#4a90c8", "#1b5e9e", "#0b2f55"]
        places = range(len(DELTAS))
        for count, colour in zip(REPLICATES, shades, strict=True):
            chosen = rows.query("scenario == 'gan' and method == 'present' and replicates == @count")
            chosen = chosen.set_index("true_delta").loc[list(DELTAS)]
            axes[2].plot(
                places, chosen["excludes_0"], color=colour, marker="o", linewidth=2, label=f"{count} replicates"
            )
        axes[2].axhline(5, color="#888888", linewidth=1, linestyle=":")
        axes[2].annotate("5 %: what chance may claim", (5.1, 6.3), ha="right", fontsize=8.5, color="#666666")
        axes[2].set_xticks(places, [f"{delta:g}" for delta in DELTAS])
        axes[2].set(
            title="How often a true gain is seen (as in the real study)",
            xlabel="true gain in accuracy, points",
            ylabel="studies whose interval excludes 0, %",
            ylim=(0, 102),
        )
        axes[2].legend(frameon=False, fontsize=9, loc="center right")
        figure.suptitle("Can the verdict be trusted? Simulated studies whose true answer is known", fontsize=13)
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, metadata={"Software": None})
        pyplot.close(figure)


def simulate(count: int, seed: int) -> None:
    everyone, model = read_model()
    match = matched(everyone, model, 300, seed)
    families = family(everyone, count // 2, seed)
    rows = simulated_rows(everyone, count, seed)
    write_csv(MATCH, match)
    write_csv(FAMILY, families)
    write_csv(ROWS, rows)
    report()


def report() -> None:
    """The tables and the picture from the rows."""
    rows, match, families = (pd.read_csv(path) for path in (ROWS, MATCH, FAMILY))
    write_blocks(PAGE, rows_to_blocks(rows, match, families))
    draw_picture(rows, PICTURE)
    own = rows.query("method == 'present'")
    print(own.query("true_delta == 0").set_index(["scenario", "replicates"])[["coverage", "excludes_0", "width"]])
    print(f"{ROWS}, {PAGE}, {PICTURE}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=["simulate", "estimate", "report", "real"])
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies of each scenario")
    parser.add_argument("--budget", type=int, default=50, help="estimate: which study to read")
    parser.add_argument("--repeats", type=int, default=20, help="real: how often the two arms are trained")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    try:
        if asked.what == "simulate":
            simulate(asked.studies, asked.seed)
        elif asked.what == "estimate":
            estimate(asked.budget)
        elif asked.what == "report":
            report()
        else:
            from benchmarks.twins import real  # torch is slow to import

            real(asked.repeats, asked.seed)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
