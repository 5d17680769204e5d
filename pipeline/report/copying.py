"""Does the GAN copy? The signs of it in words, with what luck alone would give."""

from __future__ import annotations

import math

from pipeline.report.study import Budget
from pipeline.report.text import number, signed, spread_out


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
