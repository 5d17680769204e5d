"""What the report says of a study in words: the headline, warnings, what each arm knew, openings of the test set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pipeline.contrasts import arms_that_know
from pipeline.groups import rare_classes
from pipeline.ledger import TRIALS, Reuse
from pipeline.report.effort import budget_to_efforts, differences, fairness
from pipeline.report.study import Budget, Study
from pipeline.report.text import between, listed, plus_minus, signed
from pipeline.trials import own_settings
from pipeline.tuning import TuningCheck, clearly_above, setting_to_text
from pipeline.verdict import each_class, subject


def headline(primary: Mapping[str, Any]) -> str:
    """The answer to the primary contrast in a few words."""
    change = subject(primary["arm"], primary["reference"])
    return {
        "helps": f"Yes: {change} helps",
        "hurts": f"No: {change} hurts",
        "equivalent": f"No difference that matters from {change}",
        "inconclusive": f"This study cannot tell whether {change} helps",
        "descriptive": f"A description only: no verdict on {change}",
    }[primary["verdict"]]


SHIFTS = {
    "rotated": "each test image was turned by an angle of its own, drawn uniformly from ±30 degrees",
    "blurred": "the test images were blurred, by a Gaussian of 1 pixel in 28",
    "usps": "USPS's digits, of other writers and another scanner, stand in for the test images",
}


def shift(data: Mapping[str, Any]) -> str:
    """One sentence on a study that is tested on other images than it was trained for; empty where it is not.

    data: what prepare says of the data.
    """
    said = SHIFTS.get(data.get("shift", "none"))  # older studies do not say
    return f"Tested under a shift: {said}. The training images are as they were." if said else ""


def warnings(study: Study) -> list[str]:
    """What a reader must know before any number: a trial, GANs that failed, missing replicates, unequal arms."""
    found = []
    part = study.data.get("part")
    if part in TRIALS:
        stood_in = "half of it stood in" if part == "development" else "it stood in"
        found.append(
            f"A trial on the development part: {stood_in} for the test set, which nothing was tested on. It is "
            "for choosing between settings; a result to report comes from a study of all the data, on a fresh seed."
        )
    for budget in study.budgets:
        where = f"At {budget.size} images a class"
        bad = [f"replicate {entry['replicate']} {_ill(entry)}" for entry in budget.health if not entry["healthy"]]
        if bad:
            found.append(
                f"{where}, {len(bad)} of {len(budget.health)} GANs failed, and count in every number: {'; '.join(bad)}."
            )
        drawn, asked = budget.split["replicates"], budget.split["asked"]
        if drawn < asked:
            found.append(f"{where}, only {drawn} of {asked} replicates could be drawn from different real images.")
        found += [f"{where}, {line}" for line in regime(budget.split)]
        efforts = budget_to_efforts(study, budget)
        if fairness(study, budget, efforts) == "unequal":
            found.append(f"{where}, the arms were not trained alike: {'; '.join(differences(efforts))}.")
        found += [f"{where}, {line}" for line in untuned(study, budget)]
    own = [own_settings(study.params, budget.size) for budget in study.budgets]
    if any(settings != own[0] for settings in own):
        found.append(
            "Arms have other settings at one number of real images than at another (see Equal effort): curves over "
            "these numbers show the settings, too."
        )
    return found


def untuned(study: Study, budget: Budget) -> list[str]:
    """What the tuning check found against the settings, or that it did not look under the conditions at hand."""
    check, margin = study.tuning_check(budget.size), study.compare.margin
    # Settings were chosen on images, labels and classes as they are.
    if not check.covers and (shift(study.data) or regime(budget.split)):
        return [
            "nobody checked whether the classifier's settings suit this regime, and a baseline that is trained too "
            "briefly or too long may lose what another arm then seems to gain: `python -m pipeline.tune --budget "
            f"{budget.size}`."
        ]
    found = [arm for arm in check.arms if clearly_above(arm.crossed, check.replicates, margin)]
    if not found:
        return []
    better = [f"{arm.arm} by {plus_minus(arm.crossed)} ({setting_to_text(check.settings[arm.best])})" for arm in found]
    shared = [arm for arm in found if arm.best != arm.best_alone]
    also = "; distortions and width are for all arms but variants, and set in params.yaml" if shared else ""
    return [
        f"other settings do better on the development part, {listed(better)} points: what gains on such an arm may "
        f"owe it to that. `python -m pipeline.tune --adopt --budget {budget.size}` gives each arm the best that it can "
        f"have alone{also}. See Equal effort."
    ]


def without_gan(study: Study) -> str:
    """How the primary contrast's arm compares with the best arm that no GAN has a part in; empty where it has no GAN
    images itself, or where that arm is its reference.
    """
    primary = study.compare.primary
    arms = next(budget.arms for budget in study.budgets if budget.size == primary.budget)
    if arms[primary.arm]["synthetic"] != "gan":
        return ""
    means = study.budget_accuracies(primary.budget).mean()
    best = means[[arm for arm in means.index if arms[arm]["synthetic"] != "gan"]].idxmax()
    if best == primary.reference:
        return ""
    rows = study.deltas[(study.deltas["budget"] == primary.budget) & (study.deltas["arm"] == primary.arm)]
    rows = rows.set_index("reference")
    if best not in rows.index:
        return (
            f"The best arm that needs no GAN, {best}, has {means[best]:.2f} %, {primary.arm} "
            f"{means[primary.arm]:.2f} %; the study does not hold the two against each other."
        )
    row = rows.loc[best]
    clear = row["verdict"] == "inconclusive" and (row["ci_low"] > 0 or row["ci_high"] < 0)
    said = (
        "may differ, which is not shown among so many contrasts"
        if clear
        else {
            "hurts": "is better still",
            "helps": "is behind",
            "equivalent": "does as well",
            "inconclusive": "cannot be told from it",
        }.get(row["verdict"], "stands beside it")
    )
    interval = "no interval" if math.isnan(row["ci_low"]) else between(-row["ci_high"], -row["ci_low"])
    gain = f"{signed(-row['delta'])} points over {primary.arm} ({interval})"
    return f"The best arm that needs no GAN, {best}, {said}: {gain}."


CHOSEN = 400  # images a class of MNIST's training set on which the settings were chosen (docs/choices.md)


def tuning(study: Study) -> str:
    """On which images the settings were chosen, and whether this study draws any of them."""
    undrawn, source = study.budgets[0].development, study.data["source"]
    kept = f"{undrawn:,} training images are never drawn by a study"
    if source == "mnist" and undrawn >= CHOSEN * len(study.classes):
        return f"{kept}; GAN, classifier and arms were chosen on them."
    if source == "mnist":
        return (
            f"{kept}; the project's settings of GAN, classifier and arms were chosen on {CHOSEN} a class of MNIST's "
            "training images, and this study may draw some of those."
        )
    return (
        f"The project's settings of GAN, classifier and arms were chosen on MNIST's training images, none on images of "
        f"{source}; {kept}."
    )


def each_class_of(study: Study) -> str:
    """What follows the number of images of the primary contrast's budget: a class, or of each rare class."""
    size = study.compare.primary.budget
    return next(each_class(bool(_rare(budget.split))) for budget in study.budgets if budget.size == size)


def _rare(split: Mapping[str, Any]) -> list[str]:
    return rare_classes(split.get("per_class", {}))  # older studies do not say


def regime(split: Mapping[str, Any]) -> list[str]:
    """What a replicate was given besides so many clean labels of each class; split: the split's own record."""
    lines = []
    if rare := _rare(split):
        counts = split["per_class"]
        short = listed([f"{name} ({counts[name]})" for name in rare])
        lines.append(f"only some classes are that short: {short}; the others have {max(counts.values())}.")
    if split.get("wrong_labels"):
        lines.append(f"{split['wrong_labels']} of a replicate's labels are wrong; the test labels are right.")
    if split.get("unlabelled"):
        lines.append(
            f"each replicate has {split['unlabelled']} images without labels, too. Its GAN saw those that a teacher "
            "was sure of, with the labels that it read; so did arms with pseudo-labels. Arms with GAN images know them "
            "through the GAN, the others not at all. A delta between two that do not know the same is marked: it is "
            "not the gain of GAN images alone."
        )
    return lines


def information(study: Study) -> dict[tuple[int, str, str], str]:
    """Budget, arm and reference of each contrast across information rules -> knows more, or knows less: whether the
    arm knows unlabelled images that its reference does not, or the other way round.
    """
    known = {b.size: arms_that_know(b.arms, b.split.get("unlabelled", 0)) for b in study.budgets}
    marks = {}
    for size, arm, reference in study.deltas[["budget", "arm", "reference"]].itertuples(index=False):
        if (arm in known[size]) != (reference in known[size]):
            marks[size, arm, reference] = "knows more" if arm in known[size] else "knows less"
    return marks


def unfair(primary: Mapping[str, Any], marked: Mapping[tuple[int, str, str], str]) -> str:
    """What a mark of `information` on the primary contrast means; empty where it has none."""
    arm, reference = primary["arm"], primary["reference"]
    mark = marked.get((primary["budget"], arm, reference))
    more, less = (arm, reference) if mark == "knows more" else (reference, arm)
    if not mark:
        return ""
    return (
        f"Not on equal terms: {more} knows unlabelled images, by itself or through its GAN, of which {less} knows "
        "nothing. This is not the gain of GAN images alone."
    )


def _ill(entry: Mapping[str, Any]) -> str:
    if not entry["finite"]:
        return "diverged (a value was not finite, and its training stopped there)"
    if entry["collapsed"]:
        classes = "class" if len(entry["collapsed"]) == 1 else "classes"
        return f"collapsed (its images hardly differ from each other in {classes} {listed(entry['collapsed'])})"
    return "is not healthy"


def tuned(check: TuningCheck) -> list[str]:
    """What other settings would do to each contrast; or, of a study that the check does not cover, why not."""
    if check.differing:
        said = listed([f"{key} {_plain(there)} (here {_plain(here)})" for key, there, here in check.differing])
        return [f"The check does not cover these settings: it was measured with {said}."]
    return [
        f"{contrast.arm} over {contrast.reference}: {signed(contrast.delta[0])} points there with the settings as "
        f"they are, {signed(contrast.best)} with each arm at its own best: a change of {plus_minus(contrast.change)}, "
        f"or of {plus_minus(contrast.crossed)} where each replicate gets the settings that are best on all the others."
        for contrast in check.contrasts
    ] + [f"All of it on one machine ({check.machine})." if check.machine else "On what machine was not recorded."]


def _plain(value: Any) -> str:
    return "none" if value is None else str(value)


def interactions(study: Study, budget: Budget) -> list[str]:
    """What each variant's images add, against what those of the arm that it varies add."""
    rows = study.interactions[study.interactions["budget"] == budget.size].to_dict("records")
    return [
        f"{row['arm']} over {row['reference']}: {signed(row['delta'])} points; {row['base']} over "
        f"{row['base_reference']}: {signed(row['base_delta'])}; a change of {signed(row['change'])} "
        f"({between(row['ci_low'], row['ci_high'])})."
        for row in rows
    ]


def openings(reuse: Reuse, trial: bool) -> str:
    """How often the test set was opened. trial: the study at hand is one on the development part."""
    times = {0: "never", 1: "once", 2: "twice"}.get(reuse.times, f"{reuse.times} times")
    own = "" if trial else ", by this study" if reuse.times == 1 else ", this study among them"
    return (
        f"In this repository's history the test set of {reuse.test_set} has been opened {times}{own}. Trials on the "
        f"development part that are kept as results, and leave it shut: {reuse.trials}."
    )
