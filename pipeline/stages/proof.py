"""A study's artifacts made again from what they are said to be made of, for `pipeline.verify`: a line for each that
comes out otherwise.

It takes longer than stage compare may, and some of it needs the machine that made the artifacts. No network is trained
again: that its weights come from what its training noted, and its predictions from these weights, is taken as said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import product

import numpy as np

from pipeline.classifier.arms import BASELINE_ARMS, Arm, ArmsConfig
from pipeline.classifier.handmade import affine_copies, interpolated
from pipeline.classifier.network import Classifier
from pipeline.classifier.selection import Judgement
from pipeline.classifier.teacher import images_to_probabilities, load_teacher
from pipeline.controls import ARMS
from pipeline.distortion import Distortion
from pipeline.files import read_json, reading
from pipeline.gan.sampling import generate, load_generator
from pipeline.gan.scoring import images_to_scores, load_discriminator
from pipeline.images import LabelledImages, load, load_arrays
from pipeline.provenance import array_to_digest, file_to_digest, images_to_digest
from pipeline.quality.nearness import images_to_nearness
from pipeline.rounding import SHARE, judged_alike, moved
from pipeline.seeds import derive
from pipeline.split import Split, load_pseudo_labels
from pipeline.stages.controls import CONTROLS
from pipeline.stages.evidence import ARTIFACTS, load_arms
from pipeline.stages.generated import set_name

BLOCK = 1000  # digits drawn at a time: whole chunks of `generate`, as stage generate drew them

QUALITY = ("quality.csv", "classes.csv", "suspects.npz")  # that the page shows
MEASURED_WITH = {
    "train": ("data/train.npz", "training images than the study's"),
    "oracle": ("oracle/weights.safetensors", "weights of an oracle than the study's"),
    "oracle_config": ("oracle/config.json", "settings of an oracle than the study's"),
}  # file, and what it is

Due = Callable[[Arm, int], str | None]  # of an arm's synthetic set in a replicate: its digest


def latent_scales(budget: int) -> list[float]:
    """Those at which an arm takes digits, and 1, in which these are judged and shown."""
    return sorted({arm.scale for arm in load_arms(budget, "augmented").values()} | {1.0})


def drawn_again(
    budget: int, replicate: int, scale: float, seed: int, per_class: int, most: int, rng: np.random.Generator
) -> Iterator[str]:
    """A line if the synthetic digits of a set are not what its generator makes of their seeds: they were chosen, by
    whatever means, or put in. (An arm's filter chooses from the set and leaves the set as it is.)

    seed: of the study. per_class: digits that the set should have. most: if it has more, so many of it are drawn again,
    which ones `rng` says.
    """
    trained = load_generator(ARTIFACTS / f"gan/{budget}", replicate)
    stored = load(ARTIFACTS / f"synthetic/{budget}" / set_name(replicate, scale))
    own_seed = derive(seed, "generate", budget, replicate)
    place = f"budget {budget}, replicate {replicate}" + (f", latent scale {scale:g}" if scale != 1 else "")
    labels = np.repeat(np.arange(len(trained.classes)), per_class)
    if not np.array_equal(stored.labels, labels):
        yield f"{place}: its synthetic digits are not {per_class} of each class, class by class"
        return
    count = len(labels)
    chosen = np.arange(count) if count <= most else np.sort(rng.choice(count, most, replace=False))
    changed = 0
    for start in range(0, len(chosen), BLOCK):
        part = chosen[start : start + BLOCK]
        seeds = [derive(own_seed, "digit", *map(int, divmod(digit, per_class))) for digit in part]
        changed += int(moved(stored.pixels[part], generate(trained.generator, labels[part], seeds, scale)).sum())
    if changed:
        yield (
            f"{place}: {changed} of {len(chosen)} synthetic digits are not what its generator makes of their seeds: "
            "chosen by a filter that no record names, or put in"
        )


def judged_again(budget: int, reals: Sequence[LabelledImages]) -> Iterator[str]:
    """A line for each replicate of whose digits is noted what its teacher, its discriminator or nearness to its real
    subset does not say. reals: the subsets.
    """
    for replicate, real in enumerate(reals):
        path, place = (
            ARTIFACTS / f"judged/{budget}/replicate-{replicate}.npz",
            f"budget {budget}, replicate {replicate}",
        )
        with reading(path):
            stored = Judgement(**load_arrays(path))
        digits = load(ARTIFACTS / f"synthetic/{budget}/{set_name(replicate)}")
        if len(stored.probabilities):
            read = images_to_probabilities(_teacher(budget, replicate), digits)
            if not judged_alike(stored.probabilities, read):
                yield f"{place}: its digits were not judged by its teacher, as recorded"
        if len(stored.score):
            folder = ARTIFACTS / f"gan/{budget}"
            critic = load_discriminator(
                read_json(folder / "config.json"), folder / f"discriminator-{replicate}.safetensors"
            )
            scores = images_to_scores(critic, digits)
            if not judged_alike(stored.score, scores, unit=float(scores.std())):
                yield f"{place}: its digits were not scored by its discriminator, as recorded"
        if len(stored.distance) and not judged_alike(stored.distance, images_to_nearness(digits, real)):
            yield f"{place}: its digits are not as near to its real subset as the filter `novel` was told"


def labelled_again(budget: int, train: LabelledImages, split: Split, confidence: float) -> Iterator[str]:
    """A line for each replicate whose unlabelled images were given other labels than its teacher reads, or were taken
    though it is not sure of them, or left though it is. confidence: the probability from which it is.
    """
    path = ARTIFACTS / f"pseudo/{budget}.npz"
    pseudo = load_pseudo_labels(path)
    for replicate, indices in enumerate(split.unlabelled):
        if not len(indices):
            continue
        read = images_to_probabilities(_teacher(budget, replicate), train.subset(indices))
        best = read.max(1)
        with reading(path):
            short = best - read[np.arange(len(read)), pseudo.labels[replicate]]
            unsure = (best >= confidence) != pseudo.sure[replicate]
        wrong = (short > SHARE) | (unsure & (np.abs(best - confidence) > SHARE))
        if wrong.any():
            yield (
                f"budget {budget}, replicate {replicate}: {int(wrong.sum())} of {len(wrong)} unlabelled images were "
                "not labelled by its teacher, as recorded"
            )


def quality_held(budget: int, train: LabelledImages, split: Split) -> Iterator[str]:
    """A line for each replicate whose quality was measured on other files or other images than are there, and for each
    file of numbers that stage assess did not write. Measures nothing again.
    """
    folder, pseudo = ARTIFACTS / f"quality/{budget}", load_pseudo_labels(ARTIFACTS / f"pseudo/{budget}.npz")
    recorded = read_json(folder / "inputs.json")
    with reading(folder / "inputs.json"):
        replicates, files = recorded["replicates"], dict(recorded["files"])
    if len(replicates) != len(split.subsets):
        yield f"budget {budget}: quality of {len(replicates)} replicates, but the split has {len(split.subsets)}"
        return
    shared = {name: file_to_digest(ARTIFACTS / place) for name, (place, _) in MEASURED_WITH.items()}
    for replicate, (saw, given) in enumerate(zip(replicates, pseudo.join(split, train), strict=True)):
        own = np.concatenate([split.subsets[replicate], split.unlabelled[replicate]])
        due = shared | {
            "synthetic": file_to_digest(ARTIFACTS / f"synthetic/{budget}" / set_name(replicate)),
            "subset": images_to_digest(given),
            "given": array_to_digest(own),
        }
        said = {name: what for name, (_, what) in MEASURED_WITH.items()} | {
            "synthetic": "synthetic digits than its generator's",
            "subset": "real images than its GAN was given",
            "given": "unseen images than those that its GAN was not given",
        }
        for name, what in said.items():
            if saw.get(name) != due[name]:
                yield f"budget {budget}, replicate {replicate}: its quality was measured with other {what}"
    for name in QUALITY:
        if files.get(name) != file_to_digest(folder / name):
            yield f"{folder / name}: is not the file that stage assess wrote; run `dvc repro assess@{budget}`"


def sets_due(budget: int, seed: int, reals: Sequence[LabelledImages], config: ArmsConfig) -> Due:
    """Digests of the synthetic sets that are made without a GAN, made again from the subsets and the study's seed."""

    @cache
    def made(kind: str, per_class: int | None, distortion: Distortion | None, replicate: int) -> str | None:
        real, own_seed = reals[replicate], derive(seed, f"real+{kind}", budget, replicate)
        if distortion is not None:
            images = affine_copies(real, per_class or config.copies_per_class, distortion, own_seed)
        else:
            images = interpolated(real, per_class or config.interpolated_per_class, own_seed)
        return images_to_digest(images)

    def due(arm: Arm, replicate: int) -> str | None:
        distortion = config.distortion(arm) if arm.synthetic == "copies" else None
        return made(str(arm.synthetic), arm.per_class, distortion, replicate)

    return due


def arms_remade(budget: int, replicates: int, due: Due) -> Iterator[str]:
    """A line for each classifier that saw other copies, or other interpolated images, than are made of its subset."""
    saw = read_json(ARTIFACTS / f"baseline/{budget}/inputs.json")
    for (name, arm), replicate in product(load_arms(budget, "baseline").items(), range(replicates)):
        if arm.synthetic is not None:
            handed = saw[name][replicate].get("synthetic")
            if handed != due(arm, replicate):
                yield f"budget {budget}, replicate {replicate}, arm {name}: {_other(arm.synthetic)}"


def controls_remade(budget: int, replicates: int, due: Due, models: Sequence[str]) -> Iterator[str]:
    """The same of the controls, and a line for each that saw such images though its arm has none."""
    saw = read_json(CONTROLS / f"{budget}/inputs.json") if models else {}
    arms = {str(arm.synthetic): arm for arm in BASELINE_ARMS}
    for model, (arm, sets), kind in product(models, ARMS.items(), ("copies", "interpolated")):
        for replicate in range(replicates):
            handed = saw[f"{model}/{arm}"][replicate].get(kind)
            if handed != (due(arms[kind], replicate) if kind in sets else None):
                yield f"budget {budget}, control {model}/{arm}, replicate {replicate}: {_other(kind)}"


def _other(kind: str) -> str:
    what = "distorted copies" if kind == "copies" else "interpolated images"
    return f"it saw other {what} than its real subset and the study's seed give"


def _teacher(budget: int, replicate: int) -> Classifier:
    folder = ARTIFACTS / f"teacher/{budget}"
    return load_teacher(read_json(folder / "config.json"), folder / f"weights-{replicate}.safetensors")
