"""The Markdown summary: what fits in a message."""

from __future__ import annotations

from pipeline.report.study import Study
from pipeline.report.tables import accuracies_to_text, deltas_to_text, text_to_markdown
from pipeline.report.words import copying, headline, number, spread_out, warnings


def study_to_summary(study: Study) -> str:
    """Verdict, warnings, deltas, accuracy by arm and a line on the synthetic images' quality."""
    primary, several = study.metrics["primary"], len(study.budgets) > 1
    deltas = deltas_to_text(study.deltas)[
        ["images a class", "arm", "against", "delta, points", "interval", "better in"]
    ]
    deltas["verdict"] = study.deltas["verdict"]
    parts = [f"# {headline(primary)}", primary["sentence"]]
    parts += [f"> **Warning.** {warning}" for warning in warnings(study)]
    parts += [
        "## Deltas",
        f"Interval: {100 * study.compare.confidence:g} %. A difference within ±{study.compare.margin:g} points does not "
        "matter (the margin).",
        text_to_markdown(deltas if several else deltas.drop(columns="images a class")),
        "## Accuracy by arm",
    ]
    for budget in study.budgets:
        parts.append(f"At {budget.size} real images a class; the oracle, which saw all training images, reaches "
                     f"{number(study.metrics['oracle']['accuracy'])} %.")  # fmt: skip
        parts.append(text_to_markdown(accuracies_to_text(study, budget.size)))
    parts.append("## Quality of the synthetic images")
    for budget in study.budgets:
        quality = budget.quality
        parts.append(
            f"At {budget.size} real images a class, mean (least to most) over {len(quality)} replicates: label agreement "
            f"{spread_out(quality['agreement'], 1)} %, Fréchet distance {spread_out(quality['frechet'])} (real to real: "
            f"{number(quality['frechet_floor'].mean())}), coverage {spread_out(quality['coverage'])}. "
            f"{copying(budget)[0]}."
        )
    return "\n\n".join(parts) + "\n"
