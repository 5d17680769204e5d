"""Labelled images as one file to download: PNGs in a zip, NPZ, or MNIST's IDX files in a zip.

The same images give the same bytes.
"""

from __future__ import annotations

import csv
import io
import tempfile
import zipfile
from pathlib import Path

from pipeline.errors import InputError
from pipeline.export import images_to_folder, images_to_idx
from pipeline.images import LabelledImages

KINDS = {"png": "zip", "npz": "npz", "idx": "zip"}  # and the ending of their file's name
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold


def pack(images: LabelledImages, kind: str) -> bytes:
    """A file's content. kind: of KINDS.

    png: CLASS/NUMBER.png and labels.csv. npz: `pixels`, `labels` and `classes`, as pipeline.images.load reads it. idx:
    what torchvision.datasets.MNIST reads where it is unpacked. Raises InputError if `kind` cannot hold the images.
    """
    with tempfile.TemporaryDirectory(prefix="synthgain-") as temporary:
        folder = Path(temporary) / kind
        try:
            if kind == "npz":
                images.save(folder)
                return folder.read_bytes()
            if kind == "idx":
                images_to_idx(images, folder)
            elif kind == "png":
                images_to_folder(images, folder)
                (folder / "labels.csv").write_text(_labels(images, folder), encoding="utf-8")
            else:
                raise InputError(f"{kind}: unknown kind of file; known: {', '.join(KINDS)}")
        except InputError as error:
            raise InputError(str(error).removeprefix(f"{folder}: ")) from None
        return _zip(folder)


def _labels(images: LabelledImages, folder: Path) -> str:
    """The table file, label, class, in the order of `images`; a file is called after its place."""
    files = {int(path.stem): path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["file", "label", "class"])
    for i, label in enumerate(images.labels):
        rows.writerow([files[i], label, images.classes[label]])
    return table.getvalue()


def _zip(folder: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), EPOCH)
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return content.getvalue()
