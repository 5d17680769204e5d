"""From a request to labelled images and to what the oracle reads in them; knows nothing of the page.

Image i of a class comes from a seed of its own, derived from the request's: it is the same however many are asked for,
in the grid, in a written number and in a download.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from app.shelf import Entry, Shelf
from pipeline.classifier.network import images_to_logits
from pipeline.errors import InputError
from pipeline.gan.sampling import generate
from pipeline.images import LabelledImages
from pipeline.pixels import to_tensors
from pipeline.seeds import derive

LIMIT = 10_000  # images of one request
SHOWN = 500  # of these on the page
SYMBOLS = 100  # of a written text
SEEDS = 2**32
WIDEST = 3.0


@dataclass(frozen=True)
class Request:
    """What a person asks for, checked. Raises InputError that says what would do.

    labels: classes, without repetition. each: images of each class. seed: 0 to SEEDS - 1. spread: factor on the noise.
    """

    budget: int
    replicate: int
    labels: tuple[int, ...]
    each: int
    seed: int
    spread: float

    def __post_init__(self) -> None:
        if not self.labels:
            raise InputError("Tick at least one class.")
        if self.each < 1:
            raise InputError(f"How many of each: a whole number from 1 on, not {self.each:,}.")
        if len(self) > LIMIT:
            most = LIMIT // len(self.labels)
            raise InputError(
                f"{self.each:,} of {_count(len(self.labels), 'class', 'classes')} would be {len(self):,} images; at "
                f"most {LIMIT:,} are made at once. Ask for {most:,} of each, or fewer."
            )
        if not 0 <= self.seed < SEEDS:
            raise InputError(f"Seed: a whole number from 0 to {SEEDS - 1:,}, not {self.seed:,}.")
        if not 0 <= self.spread <= WIDEST:
            raise InputError(f"Spread: a number from 0 to {WIDEST:g}, not {self.spread:g}.")

    def __len__(self) -> int:
        return len(self.labels) * self.each


@dataclass(frozen=True)
class Reading:
    """What the oracle reads. labels: int64 (N,). sure: the probability it gives to that, (N,)."""

    labels: NDArray[np.int64]
    sure: NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """What the page shows of a request.

    images: the generated ones, by class in the request's order, at most SHOWN. reading: None without an oracle. real:
    from the generator's own real subset, as many of each class if there are; None without the data. notes: why not.
    """

    request: Request
    entry: Entry
    images: LabelledImages
    reading: Reading | None
    real: LabelledImages | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Written:
    """A text in generated images, one a symbol, in its order."""

    images: LabelledImages
    reading: Reading | None


def answer(shelf: Shelf, request: Request) -> Answer:
    """The grid of a request: its first images of each class, real ones beside them, what the oracle reads.

    Raises InputError if there is no such generator; without oracle or real images the answer has a note instead.
    """
    entry = shelf.entry(request.budget)
    shown = min(request.each, max(1, SHOWN // len(request.labels)))
    images = _first(shelf, request, shown)
    notes = []
    reading, real = None, None
    try:
        reading = read(shelf, images)
    except InputError as error:
        notes.append(f"No oracle: {error}")
    try:
        real = _real(shelf, request, entry, shown)
    except InputError as error:
        notes.append(f"No real images: {error}")
    return Answer(request, entry, images, reading, real, tuple(notes))


def everything(shelf: Shelf, request: Request) -> LabelledImages:
    """All images of a request, as a download holds them. Raises InputError if there is no such generator."""
    return _first(shelf, request, request.each)


def write(shelf: Shelf, request: Request, text: str) -> Written:
    """`text` in generated images; the k-th 2 is the k-th image of class 2 in the grid.

    Raises InputError for a symbol that is no class, or where there is no such generator.
    """
    labels = text_to_labels(text, shelf.entry(request.budget).classes)
    seen: Counter[int] = Counter()
    numbers = []
    for label in labels:
        numbers.append(seen[label])
        seen[label] += 1
    images = _make(shelf, request, labels, numbers)
    try:
        return Written(images, read(shelf, images))
    except InputError:
        return Written(images, None)  # the grid's note says why


def text_to_labels(text: str, classes: tuple[str, ...]) -> list[int]:
    """One label a symbol: a character where every class is one, else class names between spaces.

    Names that have spaces themselves go between commas. Capitals count only where classes differ by them alone. Raises
    InputError naming the first symbol that is no class, or if there is none, or more than SYMBOLS.
    """
    if all(len(name) == 1 for name in classes):
        symbols = [character for character in text if not character.isspace()]
    elif any(" " in name for name in classes):
        symbols = [" ".join(part.split()) for part in text.split(",")]
    else:
        symbols = text.replace(",", " ").split()
    symbols = [symbol for symbol in symbols if symbol]
    if not symbols:
        raise InputError(f"Type {text_hint(classes)}.")
    if len(symbols) > SYMBOLS:
        raise InputError(f"{len(symbols):,} symbols are too many to write; at most {SYMBOLS}.")
    fold = str if len({name.casefold() for name in classes}) < len(classes) else str.casefold
    known = {fold(name): label for label, name in enumerate(classes)}
    labels = []
    for symbol in symbols:
        label = known.get(fold(symbol))
        if label is None:
            names = ", ".join(classes[:20]) + (", ..." if len(classes) > 20 else "")
            raise InputError(f"“{symbol[:40]}” is none of the classes {names}.")
        labels.append(label)
    return labels


def text_hint(classes: tuple[str, ...]) -> str:
    """What can be written, in words, with an example."""
    if all(len(name) == 1 for name in classes):
        kind = "a number" if all(name.isdecimal() for name in classes) else "characters"
    else:
        kind = "class names"
    return f"{kind}, such as {text_example(classes)}"


def text_example(classes: tuple[str, ...]) -> str:
    """A text that `text_to_labels` takes."""
    if set("2026") <= set(classes) and all(len(name) == 1 for name in classes):
        return "2026"
    if all(len(name) == 1 for name in classes):
        return "".join(classes[:4])
    return (", " if any(" " in name for name in classes) else " ").join(classes[:3])


def read(shelf: Shelf, images: LabelledImages) -> Reading:
    """What the oracle reads in `images`. Raises InputError if there is none, or one of other classes or channels."""
    oracle = shelf.oracle()
    channels = next(oracle.network.parameters()).shape[1]
    if oracle.classes != images.classes or channels != images.shape[0]:
        raise InputError(
            f"{shelf.artifacts / 'oracle'}: trained on other data than this generator; run `dvc repro train_oracle`"
        )
    pixels, _ = to_tensors(images, torch.device("cpu"))
    sure, labels = images_to_logits(oracle.network, pixels).double().softmax(1).max(1)
    return Reading(labels.numpy(), sure.numpy())


def _first(shelf: Shelf, request: Request, each: int) -> LabelledImages:
    """Images 0 to `each` - 1 of each of the request's classes."""
    labels = [label for label in request.labels for _ in range(each)]
    return _make(shelf, request, labels, list(range(each)) * len(request.labels))


def _make(shelf: Shelf, request: Request, labels: Sequence[int], numbers: Sequence[int]) -> LabelledImages:
    """Image number `numbers[i]` of class `labels[i]`, for each i; seeds as in sampling.class_balanced."""
    trained = shelf.generator(request.budget, request.replicate)
    for label in labels:
        if not 0 <= label < len(trained.classes):
            raise InputError(f"Class number {label}: this generator has {len(trained.classes)} classes.")
    seeds = [derive(request.seed, "digit", *pair) for pair in zip(labels, numbers, strict=True)]
    asked = np.array(labels, np.int64)
    return LabelledImages(generate(trained.generator, asked, seeds, request.spread), asked, trained.classes)


def _real(shelf: Shelf, request: Request, entry: Entry, each: int) -> LabelledImages:
    real = shelf.real(request.budget, request.replicate)
    if real.classes != entry.classes or real.shape != entry.shape:
        raise InputError(f"{shelf.artifacts / 'data'}: other data than this generator learnt from; run `dvc repro`")
    return real.subset(np.concatenate([np.flatnonzero(real.labels == label)[:each] for label in request.labels]))


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
