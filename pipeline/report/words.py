"""What the report says in words: numbers with their signs and units, the headline, warnings, signs of copying."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pipeline.contrasts import arms_that_know
from pipeline.groups import rare_classes
from pipeline.ledger import Reuse
from pipeline.report.effort import budget_to_efforts, is_equal
from pipeline.report.rates import RateCheck
from pipeline.report.study import Budget, Study
from pipeline.verdict import each_class, subject


def number(value: float | None, decimals: int = 2) -> str:
    """1234.5 -> 1,234.50; NaN and None become a dash."""
    if value is None or math.isnan(value):
        return "–"
    return f"{round(value, decimals) + 0.0:,.{decimals}f}"  # + 0.0: no "-0.00"


def signed(value: float | None, decimals: int = 2) -> str:
    """A difference: +1.50, -0.20, 0.00."""
    text = number(value, decimals)
    return f"+{text}" if value is not None and not math.isnan(value) and round(value, decimals) > 0 else text


def plus_minus(estimate: tuple[float, float], decimals: int = 2) -> str:
    """A difference with its standard error: +0.12 ± 0.08; without one where there is none."""
    mean, error = estimate
    return signed(mean, decimals) + ("" if math.isnan(error) else f" ± {number(error, decimals)}")


def between(low: float | None, high: float | None) -> str:
    """An interval: +0.50 to +1.20, or none."""
    return "none" if low is None or math.isnan(low) else f"{signed(low)} to {signed(high)}"


def spread_out(values: pd.Series[float], decimals: int = 2, scale: float = 1) -> str:
    """The mean over replicates, and from the least to the most: 1.50 (1.20 to 1.70)."""
    values = scale * values.dropna()
    if len(values) < 2:
        return number(values.mean(), decimals)
    low, high = number(values.min(), decimals), number(values.max(), decimals)
    return f"{number(values.mean(), decimals)} ({low} to {high})"


def duration(seconds: float) -> str:
    """4.2 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def typeset(text: str) -> str:
    """A hyphen before a number becomes a minus sign, and a unit stays on its number's line."""
    return re.sub(r"(?<=\d) (?=%|points)", "\u00a0", re.sub(r"(?<![\w.])-(?=\d)", "−", text))


def elided(name: str, longest: int) -> str:
    """A name that is too long loses its middle, as names often differ at their end: class-nu…er 12"""
    end = longest // 3
    return name if len(name) <= longest else f"{name[: longest - 1 - end]}…{name[-end:]}"


def listed(names: Sequence[object]) -> str:
    """a; a and b; a, b and c."""
    *most, last = [str(name) for name in names]
    return f"{', '.join(most)} and {last}" if most else last


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
    if study.data.get("part") == "development":
        found.append(
            "A trial on the development part: half of it stood in for the test set, which nothing was tested on. It is "
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
        if not is_equal(efforts):
            steps = listed([f"{effort.arm} {effort.steps:,}" for effort in efforts])
            found.append(f"{where}, the arms were not trained for equally many steps: {steps}.")
    return found


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


def share_noise(real: int, synthetic: float) -> float:
    """Standard deviation, by luck alone, of the share of synthetic images nearer to the real subset than to as many
    unused images. real: images of the subset, as far as they are compared. synthetic: how many have a share.

    A fit to MNIST's digits, within 15 % from 50 to 1,000 real and from 1,000 to 5,000 synthetic ones
    (`python -m benchmarks.share_noise`): the draw of the real images, and that each synthetic one falls on either side.
    """
    return math.sqrt(1 / (16 * real) + 1 / (4 * synthetic))


def copying(budget: Budget) -> tuple[str, list[str]]:
    """Does the GAN copy? An answer in a few words, and the numbers behind it in sentences."""
    share, replicates = budget.quality["pose_closer_to_subset"], len(budget.quality)
    images = budget.by_class.groupby("replicate")["synthetic"].sum().mean()
    rarest = min(budget.split.get("per_class", {}).values(), default=budget.size)  # older studies do not say
    expected = share_noise(rarest * budget.by_class["class"].nunique(), images)
    noise = 2 * max(expected, share.std() if replicates > 1 else 0) / math.sqrt(replicates)
    excess = max(0.0, 2 * share.mean() - 1)
    if math.isnan(share.mean()):
        answer = "Not measured"
    elif share.mean() - noise <= 0.5:
        answer = "No clear sign of copying"
    elif excess < 0.1:
        answer = "A slight lean towards the training images"
    elif excess < 0.3:
        answer = "A clear lean towards the training images"
    else:
        answer = "A strong lean towards the training images; look at the pairs"

    like = f"; this is as if {number(100 * excess, 1)} % of its images were copies" if "lean" in answer else ""
    exact = budget.quality["exact_copies"].sum()
    sentences = [
        f"Brought to a common pose, {spread_out(share, 1, 100)} % of the synthetic images lie closer to the real "
        "images that trained their GAN than to as many that it did not see. A GAN that learnt nothing by heart "
        f"gets 50 %, one that only copies 100 %{like}.",
        f"Pixel by pixel it is {spread_out(budget.quality['pixel_closer_to_subset'], 1, 100)} %, with 50 % expected.",
    ]
    near, unused = (100 * budget.quality[f"pose_near_{of}"].mean() / images for of in ("copies", "unused"))
    sentences.append(
        f"Very near to a training image, in a common pose, lie {number(near, 1)} % of the synthetic images; very near "
        f"to an unused image, which nothing can be copied from, {number(unused, 1)} %. Only the difference, "
        f"{signed(near - unused, 1)} points, speaks of copying."
    )
    sentences.append(_data_copying(budget))
    sentences.append(
        f"{number(exact, 0)} of {number(images * replicates, 0)} synthetic images equal a training image exactly."
    )
    return answer, sentences


def _data_copying(budget: Budget) -> str:
    """C_T beside its control, and whether their difference is more than chance."""
    quality = budget.quality
    gap = (quality["pose_c_t"] - quality["pose_c_t_unused"]).mean()
    # Either is a mean over classes of z-scores, so of variance 1 / classes; their noise is shared in part at most.
    noise = 2 * math.sqrt(2 / budget.by_class["class"].nunique() / len(quality))
    if math.isnan(gap):
        return "C_T (Meehan et al. 2020) was not measured."
    if gap < -noise:
        reading = "a lean towards the training images, more than chance gives"
    elif gap > noise:
        reading = "no copying, but more than chance gives"
    else:
        reading = "no more than chance gives"
    return (
        "C_T (Meehan et al. 2020) asks, class by class, whether synthetic images lie nearer to the training images "
        f"than fresh real ones do: {spread_out(quality['pose_c_t'], 1)} in a common pose, "
        f"{spread_out(quality['pixel_c_t'], 1)} pixel by pixel. Far below 0 they are copies or too plain, far above 0 "
        "unlike real images. Only copies lie far below the control, with training and unseen images changing places: "
        f"{spread_out(quality['pose_c_t_unused'], 1)} in a common pose. The difference, {signed(gap, 1)}, is {reading} "
        f"(±{number(noise, 1)})."
    )


def rates(check: RateCheck) -> list[str]:
    """What own learning rates would do to each contrast; or, of a study that the check does not cover, why not."""
    if check.differing:
        said = listed([f"{key} {_plain(there)} (here {_plain(here)})" for key, there, here in check.differing])
        return [f"The check does not cover these settings: it was measured with {said}."]
    return [
        f"{contrast.arm} over {contrast.reference}: {signed(contrast.shared)} points there with the shared rate, "
        f"{signed(contrast.own)} with each arm at its own best: a change of {plus_minus(contrast.change)}, or of "
        f"{plus_minus(contrast.crossed)} where each replicate gets the rates that are best on all the others."
        for contrast in check.contrasts
    ]


def _plain(value: Any) -> str:
    return "none" if value is None else str(value)


def openings(reuse: Reuse, trial: bool) -> str:
    """How often the test set was opened. trial: the study at hand is one on the development part."""
    times = {0: "never", 1: "once", 2: "twice"}.get(reuse.times, f"{reuse.times} times")
    own = "" if trial else ", by this study" if reuse.times == 1 else ", this study among them"
    return (
        f"In this repository's history the test set of {reuse.test_set} has been opened {times}{own}. Trials on the "
        f"development part that are kept as results, and leave it shut: {reuse.trials}."
    )
