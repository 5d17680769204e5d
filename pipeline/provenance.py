"""What each number saw, by SHA-256, and the rules that this must keep: a leak is found here, and named.

The chain of a replicate, each link known by the bytes themselves and not by where they came from:

    real subset -> GAN -> generator -> synthetic digits -> classifiers -> predictions -> numbers
         '-> teacher: labels the unlabelled images that a GAN is given besides; judges digits, as a discriminator does

`compute.run_replicates` notes what each training was handed (`seen`), stage generate which generator it drew from.
Stage compare holds these against the split and the files, refuses a study in which they do not fit (`breaks`), and
lists them in results/provenance.json; `python -m pipeline.verify` does it again from the artifacts on disk.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.files import reading
from pipeline.images import LabelledImages

Seen = Mapping[str, str]  # name of an argument of a training -> its digest
SHOWN = 12  # characters of a digest in a message


@dataclass(frozen=True)
class Budget:
    """What the trainings of one budget saw, a list entry a replicate.

    subsets: the real subsets that the split asks for. unlabelled: of the pixels of the unlabelled images, empty where
    there are none. gan_due: what each GAN should see, the subset, and with it the unlabelled images of which its
    teacher is sure, labelled as it reads them. gan: what it saw. generators: of the files. generated: what each
    synthetic set was drawn from (`generator`). synthetic: of the sets. teachers: what each teacher saw, by which
    generated images are filtered and unlabelled ones read; empty where there are none. judges: of the files of teacher
    and discriminator; judged: of those by which the generated images were judged, if they were. due: what the
    classifiers of each arm should see, as far as it can be chosen again. arms: what they saw. predictions: of their
    predictions.
    """

    budget: int
    subsets: Sequence[str]
    unlabelled: Sequence[str]
    gan_due: Sequence[str]
    gan: Sequence[Seen]
    generators: Sequence[str]
    generated: Sequence[Seen]
    synthetic: Sequence[str]
    teachers: Sequence[Seen]
    judges: Sequence[Seen]
    judged: Sequence[Seen]
    due: Mapping[str, Sequence[Seen]]
    arms: Mapping[str, Sequence[Seen]]
    predictions: Mapping[str, Sequence[str]]


def images_to_digest(images: LabelledImages) -> str:
    """SHA-256 of pixels, labels and class names, in their order."""
    digest = hashlib.sha256(f"{images.pixels.shape} {'|'.join(images.classes)}".encode())
    digest.update(np.ascontiguousarray(images.pixels).tobytes())
    digest.update(images.labels.astype("<i8").tobytes())
    return digest.hexdigest()


def array_to_digest(array: NDArray[Any]) -> str:
    """SHA-256 of shape, type and values; numbers of any width as little-endian int64 or float64, bytes as they are."""
    if array.dtype != np.uint8:
        array = array.astype("<f8" if np.issubdtype(array.dtype, np.floating) else "<i8")
    digest = hashlib.sha256(f"{array.shape} {array.dtype.str}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def file_to_digest(path: Path) -> str:
    """SHA-256 of a file. Raises InputError if it is missing."""
    with reading(path):
        return hashlib.sha256(path.read_bytes()).hexdigest()


def seen(job: Mapping[str, Any]) -> dict[str, str]:
    """The digest of each set of images and each array among the arguments of a training, and in their fields."""
    found = {}
    for name, value in job.items():
        if isinstance(value, LabelledImages):
            found[name] = images_to_digest(value)
        elif isinstance(value, np.ndarray):
            found[name] = array_to_digest(value)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            found |= seen({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    return found


def shared_images(
    budget: int,
    train: LabelledImages,
    subsets: NDArray[np.integer],
    test: NDArray[np.uint8],
    development: NDArray[np.integer],
) -> Iterator[str]:
    """A line for each training image of a subset whose pixels are a test image's, one of the development part, or one
    of another replicate. subsets: indices (R, N). test: pixels (T, C, H, W).
    """
    known = {image.tobytes(): f"test image {i}" for i, image in enumerate(test)}
    for i in development.tolist():
        known.setdefault(train.pixels[i].tobytes(), f"image {i} of the development part")
    for replicate, indices in enumerate(subsets.tolist()):
        own = {}
        for i in indices:
            key = train.pixels[i].tobytes()
            if key in known:
                yield f"budget {budget}: training image {i} of replicate {replicate} is {known[key]}"
            own[key] = f"training image {i} of replicate {replicate}"
        known = own | known  # what was there first keeps its name


def breaks(chain: Budget, test_pixels: str, everything: str) -> Iterator[str]:
    """A line for each link that does not fit. test_pixels: digest of the test images. everything: of all training
    images, which the oracle alone may see.
    """
    here, replicates = f"budget {chain.budget}", len(chain.subsets)
    tables = {"a GAN": chain.gan, "a generator": chain.generators, "a synthetic set": chain.synthetic}
    tables |= {f"arm {arm}": table for arm, table in chain.arms.items()}
    tables |= {"a judgement": chain.judged}
    tables |= {"a teacher": chain.teachers} if chain.teachers or chain.unlabelled else {}
    for what, table in tables.items():
        if len(table) != replicates:
            yield f"{here}: {what} for {len(table)} replicates, but the split has {replicates}"
            return

    def whose(digest: str) -> str:
        if digest in chain.subsets:
            return f"the real subset of replicate {chain.subsets.index(digest)}"
        if digest in chain.gan_due:
            return f"the images of replicate {chain.gan_due.index(digest)}, unlabelled ones too"
        return (
            "all training images, as the oracle does" if digest == everything else f"images {digest[:SHOWN]}, no subset"
        )

    for r, subset in enumerate(chain.subsets):
        place = f"{here}, replicate {r}"
        if chain.gan[r].get("real") != chain.gan_due[r]:
            yield f"{place}: its GAN saw {whose(chain.gan[r].get('real', 'nothing'))}"
        if chain.generated[r].get("generator") != chain.generators[r]:
            yield f"{place}: its synthetic digits come from another generator than its GAN's"
        if chain.teachers and chain.teachers[r].get("real") != subset:
            saw_it = whose(chain.teachers[r].get("real", "nothing"))
            yield f"{place}: the teacher that filters or reads its images saw {saw_it}"
        if chain.unlabelled and chain.teachers[r].get("test_pixels") != chain.unlabelled[r]:
            yield f"{place}: its teacher read other unlabelled images than its own"
        for judge, digest in chain.judged[r].items():
            if chain.judges[r].get(judge) != digest:
                yield f"{place}: its synthetic digits were judged by another {judge} than its own"
        for arm, table in chain.arms.items():
            saw, due = table[r], chain.due[arm][r]
            if saw.get("real") != due.get("real"):
                yield f"{place}, arm {arm}: its classifier saw {whose(saw.get('real', 'nothing'))}"
            if "synthetic" in due and any(saw.get(key) != due.get(key) for key in ("synthetic", "targets")):
                yield f"{place}, arm {arm}: its classifier saw other synthetic digits than its replicate's"
            if saw.get("test_pixels") != test_pixels:
                yield f"{place}, arm {arm}: it predicted other images than the test images"


def to_document(chains: Sequence[Budget], data: Mapping[str, str], oracle: Mapping[str, str]) -> dict[str, Any]:
    """results/provenance.json. data: digests of all training images, test images and test labels.

    Each number of the other result files stands for a budget and one arm or two. Its classifiers were handed what is
    listed for these arms, replicate by replicate; what made that for them, GAN, teacher and judges, was handed what is
    listed for the replicate (`_replicate`), and nothing that a number rests on saw anything else.
    """
    budgets = {
        str(chain.budget): {
            "replicates": [_replicate(chain, r) for r in range(len(chain.subsets))],
            "arms": {
                arm: [{**saw, "predictions": made} for saw, made in zip(table, chain.predictions[arm], strict=True)]
                for arm, table in chain.arms.items()
            },
        }
        for chain in chains
    }
    return {"data": dict(data), "oracle": dict(oracle), "budgets": budgets}


def _replicate(chain: Budget, r: int) -> dict[str, Any]:
    """real: the real subset. unlabelled: pixels of its unlabelled images. teacher: the images that the teacher was
    trained on, teacher_weights: its file. gan: the images that the GAN was trained on. generator, discriminator: its
    files. synthetic: the digits. judged: files of those that judged the digits. Left out is what there is not.
    """
    teacher, gan, judged = (
        dict(table[r]) if r < len(table) else {} for table in (chain.teachers, chain.gan, chain.judged)
    )
    entries = {
        "real": chain.subsets[r],
        "unlabelled": chain.unlabelled[r] if chain.unlabelled else None,
        "teacher": teacher.get("real"),
        "teacher_weights": chain.judges[r].get("teacher"),
        "gan": gan.get("real"),
        "generator": chain.generators[r],
        "discriminator": chain.judges[r].get("discriminator"),
        "synthetic": chain.synthetic[r],
        "judged": judged or None,
    }
    return {name: entry for name, entry in entries.items() if entry is not None}


def differences(stored: Any, found: Any, place: str = "") -> Iterator[str]:
    """A line for each entry that two documents do not share."""
    if isinstance(stored, Mapping) and isinstance(found, Mapping):
        for key in [*stored, *(key for key in found if key not in stored)]:
            yield from differences(stored.get(key), found.get(key), f"{place}, {key}" if place else str(key))
    elif isinstance(stored, list) and isinstance(found, list) and len(stored) == len(found):
        for number, (one, other) in enumerate(zip(stored, found, strict=True)):
            yield from differences(one, other, f"{place} {number}")
    elif stored != found:
        yield f"{place}: recorded {_short(stored)}, found {_short(found)}"


def _short(value: Any) -> str:
    return value[:SHOWN] if isinstance(value, str) else "nothing" if value is None else f"{len(value)} entries"
