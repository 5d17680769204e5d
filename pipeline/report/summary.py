"""The Markdown summary: what fits in a message."""

from __future__ import annotations

from pipeline.report import controls, worth
from pipeline.report.copying import copying
from pipeline.report.study import Budget, Study
from pipeline.report.tables import accuracies_to_text, deltas_to_text, text_to_markdown
from pipeline.report.text import number, spread_out
from pipeline.report.words import each_class_of, headline, information, shift, unfair, warnings, without_gan


def study_to_summary(study: Study) -> str:
    """Verdict, warnings, deltas, accuracy by arm and a line on the synthetic images' quality."""
    primary, several = study.metrics["primary"], len(study.budgets) > 1
    columns = ["images a class"] if several else []
    columns += ["arm", "against", "delta, points", "interval", "better in", "verdict"]
    parts = [f"# {headline(primary)}", primary["sentence"]]
    parts += [said] if (said := without_gan(study)) else []
    parts += [f"**{said}**"] if (said := shift(study.data)) else []
    parts += [f"> **Warning.** {warning}" for warning in warnings(study)]
    deltas, marked = deltas_to_text(study.deltas), information(study)
    contrasts = study.deltas[["budget", "arm", "reference"]].itertuples(index=False, name=None)
    deltas["verdict"] = [
        f"{verdict} ({marked[contrast]})" if contrast in marked else verdict
        for verdict, contrast in zip(deltas["verdict"], contrasts, strict=True)
    ]
    parts += [f"**{said}**"] if (said := unfair(primary, marked)) else []
    parts += [
        "## Deltas",
        f"Interval: {100 * study.compare.confidence:g} %. A difference within ±{study.compare.margin:g} points (the "
        "margin) does not matter.",
        text_to_markdown(deltas[columns]),
        "## Accuracy by arm",
    ]
    oracle, each = number(study.metrics["oracle"]["accuracy"]), each_class_of(study)
    for budget in study.budgets:
        parts.append(
            f"At {budget.size} real images {each}; the oracle, which saw all training images, reaches {oracle} %."
        )
        parts.append(text_to_markdown(accuracies_to_text(study, budget.size)))
    if found := worth.sentences(study):
        parts += ["## Worth how many real images?", *found]
    if found := controls.sentences(study):
        parts += ["## Classifiers that are no networks", *found]
    parts.append("## Quality of the synthetic images")
    parts += [_quality(budget) for budget in study.budgets]
    return "\n\n".join(parts) + "\n"


def _quality(budget: Budget) -> str:
    quality = budget.quality
    names = ("agreement", "frechet", "kid", "coverage")
    agreement, distance, kernel, coverage = (spread_out(quality[name]) for name in names)
    return (
        f"At {budget.size} real images a class, mean over replicates (least to most): label agreement {agreement} %, "
        f"Fréchet distance {distance} (real to real: {number(quality['frechet_floor'].mean())}), kernel distance (KID) "
        f"{kernel} (real to real: {number(quality['kid_floor'].mean())}), coverage {coverage}. {copying(budget)[0]}."
    )
