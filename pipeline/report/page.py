"""The report: a study in, one self-contained HTML page and a Markdown summary out; the same study, the same bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from pipeline.contrasts import Contrast, arms_to_fair, arms_to_reals
from pipeline.ledger import TRIALS
from pipeline.report import charts, controls, curves, dataset, effort, pictures, predictors, tables, text, words, worth
from pipeline.report.copying import copying
from pipeline.report.study import Budget, Study, load_study
from pipeline.report.summary import study_to_summary
from pipeline.report.theme import MARKS, Picture
from pipeline.trials import own_settings

TEMPLATES = Path(__file__).with_name("templates")
DIGEST = 12  # characters of a subset's SHA-256 that are shown


def write(root: Path, budgets: Sequence[int], params: Mapping[str, Any], output: Path) -> None:
    """Write `output`/index.html and `output`/summary.md for the finished study whose repository is `root`.

    params: what params.yaml holds. Raises InputError that names a file which is missing or damaged.
    """
    study = load_study(root, budgets, params)
    page, summary = study_to_page(study), study_to_summary(study)
    output.mkdir(parents=True, exist_ok=True)
    (output / "index.html").write_text(page, encoding="utf-8", newline="\n")
    (output / "summary.md").write_text(summary, encoding="utf-8", newline="\n")


def study_to_page(study: Study) -> str:
    """The whole page as HTML, its style and pictures in it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": text.number,
        "signed": lambda value, decimals=2: text.typeset(text.signed(value, decimals)),
        "typeset": text.typeset,
        "breaking": lambda cell: Markup("+<wbr>").join(str(cell).split("+")),
        "duration": text.duration,
        "elided": text.elided,
    }
    primary = study.metrics["primary"]
    several, marked = len(study.budgets) > 1, words.information(study)
    return environment.get_template("page.html.jinja").render(
        study=study,
        primary=primary,
        headline=words.headline(primary),
        confidence=f"{100 * study.compare.confidence:g} %",
        marks=MARKS,
        shift=words.shift(study.data),
        without_gan=words.without_gan(study),
        warnings=words.warnings(study),
        cards=_cards(study, marked),
        marked=marked,
        unfair=words.unfair(primary, marked),
        deltas=tables.deltas_to_text(study.deltas),
        several=several,
        each_class=words.each_class_of(study),
        tuning=words.tuning(study),
        own_settings=[budget.size for budget in study.budgets if own_settings(study.params, budget.size)],
        trends=[charts.delta_trend(study), charts.accuracy_trend(study)] if several else [],
        worth=worth.section(study),
        controls=controls.section(study),
        data=_data(study),
        quality=tables.quality_to_text(study),
        predictors=predictors.study_to_predictors(study),
        budgets=[_budget(study, budget) for budget in study.budgets],
        oracle_curve=curves.oracle_curve(study.oracle_history),
        reuse=_reuse(study),
        params=_flat_sections(study.params),
        machines=_machines(study),
    )


def _fair(budget: Budget) -> dict[str, str]:
    """Arm -> the real images with pseudo-labels that know as much; empty without unlabelled images."""
    return arms_to_fair(budget.arms, budget.split.get("unlabelled", 0))


def _cards(study: Study, marked: Mapping[tuple[int, str, str], str]) -> list[dict[str, Any]]:
    """The three questions, each with its row of deltas at every budget; on unlabelled images two more."""
    rows, cards, fair = study.deltas, [], _fair(study.budgets[0])
    questions = charts.QUESTIONS | {
        (arm, fair[arm]): f"{title}, against pseudo-labels"
        for (arm, _), title in charts.QUESTIONS.items()
        if arm in fair
    }
    for (arm, reference), title in questions.items():
        answers = rows[(rows["arm"] == arm) & (rows["reference"] == reference)].to_dict("records")
        if answers:
            mark = marked.get((answers[0]["budget"], arm, reference), "")
            cards.append({"title": title, "arm": arm, "reference": reference, "answers": answers, "mark": mark})
    # With a single budget every card shows its interval, too, on one axis from -reach to reach.
    shown = [row for card in cards for row in card["answers"]]
    ends = [abs(row[key]) for row in shown for key in ("delta", "ci_low", "ci_high") if not math.isnan(row[key])]
    reach = 1.1 * max([2 * study.compare.margin, *ends])
    for row in shown:
        row["places"] = {key: round(50 + 50 * row[key] / reach, 2) for key in ("delta", "ci_low", "ci_high")}
        row["margin"] = round(50 * study.compare.margin / reach, 2)
    return cards


def _delta_panels(study: Study, budget: Budget) -> list[tuple[str, Picture]]:
    """Titled delta charts of one budget: against real, against real+classical, and what else was compared."""
    rows, span = study.deltas[study.deltas["budget"] == budget.size], charts.deltas_span(study, budget.size)
    usual, reals = ["real", "real+classical"], [*arms_to_reals(budget.arms).values()]
    handmade = [name for name, arm in budget.arms.items() if arm["synthetic"] not in (None, "gan")]
    base = rows["arm"].map({name: arm["of"] for name, arm in budget.arms.items()})
    reference = rows["reference"]
    fair = reference.isin(_fair(budget).values())
    variant = base.notna()
    other = ~fair & ~reference.isin(usual) & ~(variant & reference.isin(reals))
    groups = [(f"Against {name}", rows[~variant & (reference == name)]) for name in usual]
    groups += [
        ("Against real images with pseudo-labels, which know as much", rows[fair]),
        ("GAN images against images made without a GAN", rows[~variant & reference.isin(handmade)]),
        ("Variants, each against the arm that it varies", rows[variant & (reference == base)]),
        ("Variants against real images", rows[variant & (reference != base) & reference.isin(reals)]),
        ("Other contrasts", rows[~(~variant & reference.isin(handmade)) & (~variant | (reference != base)) & other]),
    ]
    return [
        (title, charts.deltas_chart(study, group, span, named=place < len(usual)))
        for place, (title, group) in enumerate(groups)
        if len(group)
    ]


def _data(study: Study) -> dict[str, Any]:
    """What the page shows of the data; the subset and the synthetic images are the primary budget's."""
    budget = next(budget for budget in study.budgets if budget.size == study.compare.primary.budget)
    counts, synthetic = dataset.class_counts(study, budget), budget.synthetic
    return {
        "size": budget.size,
        "dropped": sum(study.data["dropped"].values()),
        "balance": dataset.balance(counts),
        "classes": dataset.distribution_chart(counts, study.classes),
        "likeness": dataset.likeness(study.train),
        "brightness": dataset.brightness_chart(study.train, synthetic),
        "cards": list(zip(study.classes, pictures.class_cards(study.train), strict=True)),
    }


def _learning(study: Study, budget: Budget) -> dict[str, Any]:
    """How replicate 0's GAN learnt: half a picture grid a step, and the film (of one budget, for the page's weight)."""
    alt = "Synthetic images of replicate 0's GAN, a row a class,"
    own = budget.gan_history[budget.gan_history["replicate"] == 0].set_index("step")
    epochs = own["epoch"].round().astype(int).to_dict() if "epoch" in own else {}  # older studies do not say
    shown = budget.film if budget.size == study.compare.primary.budget else None
    return {
        "grids": [
            (step, epochs.get(step), pictures.grid(content, study.data["shape"][2], f"{alt} after {step} steps"))
            for step, content in budget.grids
        ],
        "film": None if shown is None else pictures.film(shown, f"{alt} while it trained"),
    }


def _effort(study: Study, budget: Budget) -> dict[str, Any]:
    """What each arm's training took, with the length of its bar in percent of the longest."""
    efforts = effort.budget_to_efforts(study, budget)
    longest = max(1, *(entry.seen for entry in efforts))
    steps, seconds = effort.gan_effort(study, budget)
    return {
        "arms": [(entry, round(100 * entry.seen / longest, 2)) for entry in efforts],
        "shared": any(entry.shared for entry in efforts),
        "fairness": effort.fairness(study, budget, efforts),
        "gan_steps": steps,
        "gan_seconds": seconds,
    }


def _reuse(study: Study) -> dict[str, Any] | None:
    """How often the test set was opened, a sentence and a table; None where nothing was counted."""
    if study.reuse is None:
        return None
    trial = study.params["data"].get("part") in TRIALS
    return {"sentence": words.openings(study.reuse, trial), "table": tables.openings_to_text(study, study.reuse)}


def _tuning(study: Study, budget: Budget) -> dict[str, Any] | None:
    """The tuning check as far as it covers this budget; None where nothing was measured."""
    if study.tuning.empty:
        return None
    check = study.tuning_check(budget.size)
    return {
        "covered": check.covers,
        "replicates": check.replicates,
        "table": tables.tuning_to_text(check),
        "sentences": words.tuned(check),
    }


def _budget(study: Study, budget: Budget) -> dict[str, Any]:
    """What the page shows of one budget."""
    answer, sentences = copying(budget)
    primary: Contrast = study.compare.primary
    return {
        "size": budget.size,
        "primary": budget.size == primary.budget,
        "replicates": budget.split["replicates"],
        "asked": budget.split["asked"],
        "digests": [digest[:DIGEST] for digest in budget.split["digests"]],
        "images": len(budget.real),
        "development": budget.development,
        "delta_panels": _delta_panels(study, budget),
        "interactions": words.interactions(study, budget),
        "ratios": charts.ratio_charts(study, budget),
        "groups": tables.groups_to_texts(study.groups, budget.size),
        "group_intervals": tables.group_intervals(study.groups, budget.size),
        "accuracy_chart": charts.accuracy_chart(study, budget.size),
        "accuracies": tables.accuracies_to_text(study, budget.size),
        "mcnemar": tables.mcnemar_to_text(study.mcnemar, budget.size),
        "strips": list(
            zip(
                study.classes,
                pictures.class_strips(budget.real, "real"),
                pictures.class_strips(budget.synthetic, "synthetic"),
                strict=True,
            )
        ),
        "copying": answer,
        "copying_sentences": sentences,
        "suspects": _suspects(budget),
        "agreement": tables.agreement_to_heat(study, budget),
        "by_class": tables.classes_to_heat(study, budget),
        "quality": tables.budget_quality_to_text(budget),
        "recalls": tables.recalls_to_heat(study, budget.size),
        "gan_curves": curves.gan_curves(budget),
        "learning": _learning(study, budget),
        "healthy": sum(bool(entry["healthy"]) for entry in budget.health),
        "effort": _effort(study, budget),
        "tuning": _tuning(study, budget),
        "classifier_curve": curves.classifier_curve(budget),
    }


def _suspects(budget: Budget) -> list[tuple[Picture, float, float]]:
    """Images most like copies, each beside the nearest training and the nearest unseen image: picture, distances."""
    arrays = budget.suspects
    alt = "A synthetic image, the training image nearest to it, and the unseen real image nearest to it"
    return [
        (pictures.strip(np.stack(trio), alt), float(distance), float(unused))
        for *trio, distance, unused in zip(
            *(arrays[name] for name in ("synthetic", "real", "unused", "distance", "distance_unused")), strict=True
        )
    ]


def _flat_sections(params: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Section -> (key, value) of every parameter; nested keys joined by dots."""

    def flat(value: Any, name: str) -> list[tuple[str, str]]:
        if isinstance(value, Mapping):
            return [pair for key, inner in value.items() for pair in flat(inner, f"{name}.{key}" if name else str(key))]
        text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        return [(name, {"True": "true", "False": "false", "None": "null"}.get(text, text))]  # as in params.yaml

    return {section: flat(values, "") for section, values in params.items()}


def _machines(study: Study) -> dict[str, Any]:
    """Every stage's time, and the different machines (with device and versions) that ran them, numbered from 1"""
    machines: list[dict[str, Any]] = []
    stages = []
    longest = max(run["seconds"] for _, run in study.runs) or 1
    for name, run in study.runs:
        machine = {key: run[key] for key in ("machine", "versions")}
        if machine not in machines:
            machines.append(machine)
        share = round(100 * run["seconds"] / longest, 1)
        own = {key: run.get(key, "–") for key in ("device", "workers", "milliseconds_per_step")}  # not every stage says
        stages.append({**run, **own, "name": name, "where": machines.index(machine) + 1, "share": share})
    return {"machines": machines, "stages": stages, "seconds": sum(run["seconds"] for _, run in study.runs)}
