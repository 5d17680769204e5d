"""The tables and the picture of docs/calibration.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.blocks import to_markdown
from benchmarks.family import FAMILIES
from benchmarks.intervals import METHODS
from benchmarks.measured import Measured, column, expected, pool
from benchmarks.scenarios import DELTAS, GAN, ON_CLASSICAL, REPLICATES, SCENARIOS, TEN

SHOWN = ("gan", "ten", "on_classical")  # in the table of what is found


def rows_to_blocks(
    rows: pd.DataFrame, match: pd.DataFrame, families: pd.DataFrame, studies: Sequence[Measured]
) -> dict[str, str]:
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
    share = null["coverage_pooled"] / 100
    error = 100 * (share * (1 - share) / (null["pooled"] * null["studies"] / 100)) ** 0.5
    covered = ": " + null["coverage_pooled"].map("{:.0f}".format) + " ± " + error.map("{:.0f}".format)
    pooled = percent(null, "pooled") + covered.where(null["pooled"] > 0, "")
    blocks["pooled"] = to_markdown(_named(spread(null, ["scenario"], pooled), order, words))

    power = own[own["true_delta"] > 0]
    cells = percent(power, "helps") + " / " + percent(power, "equivalent")
    tables = []
    for name in SHOWN:
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
    hist = match[match["figure"].str.startswith(("reference_wrong", "net_wins"))]
    blocks["histograms"] = to_markdown(_match_table(hist, whole=True))
    blocks["family"] = to_markdown(_family_table(families))
    blocks["studies"] = to_markdown(_studies_table(studies))
    return blocks


def _named(wide: pd.DataFrame, order: Sequence[str], words: dict[str, str]) -> pd.DataFrame:
    wide = wide.loc[list(order)]
    wide.index = pd.Index([f"`{name}`: {words[name]}" for name in order], name="scenario")
    return wide


def _family_table(families: pd.DataFrame) -> pd.DataFrame:
    families = families[families["event"] != "corrected"]  # as good as `secondary`: the equivalent alone differ
    said = families["percent"].map("{:.1f}".format) + " ± " + families["se"].map("{:.1f}".format)
    words = {
        "primary": "the primary contrast is said to help or hurt",
        "secondary": "any of the {} others is said to help or hurt",
        "pooled": "any of these with its MS_R below its MS_E",
        "uncorrected": "any of the {} others has an interval that excludes 0 (not corrected)",
    }
    budgets = {each.name: f"`{each.name}`, {', '.join(map(str, each.budgets))} a class: " for each in FAMILIES}
    events = [words[event].format(n) for event, n in zip(families["event"], families["secondaries"], strict=True)]
    table = families.assign(cell=said, row=families["family"].map(budgets) + events)
    wide = table.pivot(index="row", columns="replicates", values="cell").loc[table["row"].drop_duplicates()]
    wide.index.name = "study whose arms are all equally good, and yet"
    return wide.set_axis([f"{r} replicates" for r in wide.columns], axis=1)


def _studies_table(studies: Sequence[Measured]) -> pd.DataFrame:
    """MS_R / MS_E of each contrast in each study alone; where it tells no accuracies, at those of the others."""
    levels, rows = pool(studies), {}
    for study in studies:
        budgets = ", ".join(dict.fromkeys(name.rsplit("@", 1)[1] for name in study.columns))
        row: dict[str, Any] = {"": study.words, "budgets": budgets, "replicates": study.replicates}
        for contrast in (GAN, TEN, ON_CLASSICAL):
            names = [column(arm, contrast.budget) for arm in (contrast.reference, contrast.arm)]
            cell = ""
            if set(names) <= set(study.columns):
                accuracy = levels.subset(study.columns).accuracy if study.accuracy is None else study.accuracy
                m = expected(pool([replace(study, accuracy=accuracy)]).subset(names), study.replicates, study.images)
                cell = f"{m.ms_r:.3f} / {m.ms_e:.3f}"
            row[f"`{contrast.arm}` − `{contrast.reference}` at {contrast.budget}"] = cell
        rows[study.seed] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("seed")


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
        titles = {"gan": "Replicates as in the real studies", "failures": "Harsher: twice the spread, some GANs fail"}
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
            ax.set(title=title, xlabel="replicates in the study", ylim=(72, 100), xlim=(-0.2, len(REPLICATES) - 0.8))
            ax.set_xticks(places, [str(r) for r in REPLICATES])
        axes[0].set_ylabel("intervals that hold the true difference, %")
        axes[0].annotate("goal: 93 to 97 %", (len(REPLICATES) - 0.85, 97.3), ha="right", fontsize=8.5, color="#3f6f3f")
        axes[1].legend(frameon=False, fontsize=9, loc="lower right")
        shades = ["#b9d6ee", "#7fb2dc", "#4a90c8", "#1b5e9e", "#0b2f55"]
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
            title="How often a true gain is seen (as in the real studies)",
            xlabel="true gain in accuracy, points",
            ylabel="studies whose interval excludes 0, %",
            ylim=(0, 102),
        )
        axes[2].legend(frameon=False, fontsize=9, loc="lower right", bbox_to_anchor=(1, 0.1))
        figure.suptitle("Can the verdict be trusted? Simulated studies whose true answer is known", fontsize=13)
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, metadata={"Software": None})
        pyplot.close(figure)
