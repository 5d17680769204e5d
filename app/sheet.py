"""Answers as HTML: the grid of generated beside real images, a written text, a message. Every text is escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.packing import KINDS
from app.shelf import Entry
from app.studio import Answer, Reading, Request, Written

LINKS = {"png": "PNG files (zip)", "npz": "NumPy (npz)", "idx": "MNIST files, IDX (zip)"}
WRONG = "✗"


def answer_to_html(answer: Answer) -> str:
    """The grid, a row a class: generated images with what the oracle reads under each, and real ones."""
    request, entry = answer.request, answer.entry
    rows = []
    for label in request.labels:
        places = np.flatnonzero(answer.images.labels == label)
        cells = [_strip(_generated(answer, int(place)) for place in places)]
        if answer.real is not None:
            pixels = answer.real.pixels[answer.real.labels == label]
            cells.append(_strip(_figure(image, f"real {entry.classes[label]}") for image in pixels))
        rows.append(f'<tr><th scope="row">{escape(entry.classes[label])}</th>{"".join(cells)}</tr>')
    heads = ["Generated" if answer.reading is None else "Generated, and what the oracle reads"]
    if answer.real is not None:
        heads.append("Real: what it learnt from")
    columns = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (
        f'<div class="sheet" style="--side: {_side(answer)}px">'
        f'<p class="summary">{_summary(answer)}</p>{_downloads(request, entry)}'
        f"{''.join(message_to_html(note, 'note') for note in answer.notes)}"
        f"<table><thead><tr><td></td>{columns}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _strip(figures: Iterable[str]) -> str:
    return f'<td><div class="strip">{"".join(figures)}</div></td>'


def written_to_html(written: Written, text: str) -> str:
    """The text as one row of images without gaps, what the oracle reads below, and a link to the picture."""
    images, reading = written.images, written.reading
    figures = []
    for place, label in enumerate(images.labels):
        figures.append(_figure(images.pixels[place], f"generated {images.classes[label]}", *_read(written, place)))
    row = np.concatenate(list(images.pixels), axis=2)  # (C, H, N * W)
    between = "" if all(len(name) == 1 for name in images.classes) else " "
    says = ""
    if reading is not None:
        text_read = between.join(images.classes[label] for label in reading.labels)
        wrong = int((reading.labels != images.labels).sum())
        verdict = "as written" if not wrong else f"{WRONG} {wrong} of {len(images)} otherwise"
        says = f"The oracle reads <strong>{escape(text_read)}</strong>: {verdict}. "
    name = escape("".join(c if c.isalnum() else "-" for c in text.strip())[:40] or "written", quote=True)
    link = f'<a download="{name}.png" href="{_data(row)}">Save as PNG</a>'
    return f'<div class="written"><div class="line">{"".join(figures)}</div><p class="summary">{says}{link}</p></div>'


def entry_to_html(entry: Entry) -> str:
    """What a generator is, in one line."""
    channels, height, width = entry.shape
    steps = "" if entry.steps is None else f", {entry.steps:,} steps"
    colour = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
    return f'<p class="facts">Recipe <strong>{escape(entry.recipe)}</strong>{steps}; {height}×{width}, {colour}</p>'


def message_to_html(message: str, kind: str = "refusal") -> str:
    """One line that is read out as soon as it appears."""
    return f'<p class="{kind}" role="alert">{escape(message)}</p>'


def empty_to_html(folder: str) -> str:
    """What the page says where nothing has been trained."""
    return (
        '<div class="empty" role="alert"><h2>No trained generator yet</h2>'
        f"<p>There is none in <code>{escape(folder)}</code>. To make one, run</p><pre>make run</pre>"
        "<p>which trains the study of <code>params.yaml</code>, or, where a DVC remote holds one,</p>"
        "<pre>dvc pull</pre><p>and then reload this page.</p></div>"
    )


def _summary(answer: Answer) -> str:
    shown, asked = len(answer.images), len(answer.request)
    parts = []
    if answer.reading is not None:
        right = int((answer.reading.labels == answer.images.labels).sum())
        parts.append(
            f"The oracle reads <strong>{right:,} of {shown:,}</strong> as asked ({right / shown:.0%}). "
            f'<span class="wrong">{WRONG}</span> marks another reading.'
        )
    if shown < asked:
        parts.append(f"The first {shown:,} of {asked:,} are shown; a download holds all.")
    return " ".join(parts)


def _generated(answer: Answer, place: int) -> str:
    name = answer.entry.classes[answer.images.labels[place]]
    return _figure(answer.images.pixels[place], f"generated {name}", *_read(answer, place))


def _read(shown: Answer | Written, place: int) -> tuple[str, bool, str]:
    """(what the oracle reads, whether it is as asked, both in words)."""
    reading: Reading | None = shown.reading
    if reading is None:
        return "", True, ""
    read, asked = int(reading.labels[place]), int(shown.images.labels[place])
    name = shown.images.classes[read]
    return name, read == asked, f"the oracle reads {name} ({reading.sure[place]:.0%} sure)"


def _figure(image: NDArray[np.uint8], alt: str, read: str = "", right: bool = True, words: str = "") -> str:
    mark = "" if right else ' class="wrong"'
    title = escape(f"{alt}; {words}" if words else alt, quote=True)
    caption = f"<figcaption>{'' if right else WRONG + ' '}{escape(read)}</figcaption>" if read else ""
    return f'<figure{mark} title="{title}"><img src="{_data(image)}" alt="{title}">{caption}</figure>'


def _downloads(request: Request, entry: Entry) -> str:
    """A link for each kind of file, with the request in its address."""
    links = []
    for kind, text in LINKS.items():
        if kind == "idx" and (entry.shape[0] != 1 or len(entry.classes) > 256):
            continue  # IDX holds grey images and labels of a byte
        links.append(
            f'<a class="button" download href="{escape(request_to_address(request, kind), quote=True)}">{text}</a>'
        )
    count = f"{len(request):,} image{'' if len(request) == 1 else 's'}"
    return f'<p class="downloads"><span>Download {count} with labels:</span> {" ".join(links)}</p>'


def request_to_address(request: Request, kind: str) -> str:
    """Where `page` serves the images of a request; kind: of packing.KINDS."""
    query = {
        "budget": request.budget,
        "replicate": request.replicate,
        "labels": ",".join(map(str, request.labels)),
        "each": request.each,
        "seed": request.seed,
        "spread": f"{request.spread:g}",
    }
    return f"/download/{kind}?{urlencode(query)}"


def request_to_name(request: Request, kind: str) -> str:
    """A file name that tells downloads apart."""
    return (
        f"synthgain-{request.budget}-replicate{request.replicate}-seed{request.seed}-spread{request.spread:g}-"
        f"{len(request.labels)}x{request.each}-{kind}.{KINDS[kind]}"
    )


def _side(answer: Answer) -> int:
    """How many CSS pixels an image is wide: the fewer there are, the larger."""
    count, width = len(answer.images), answer.entry.shape[2]
    return max(min(width, 96), 88 if count <= 8 else 64 if count <= 24 else 44)


def _data(image: NDArray[np.uint8]) -> str:
    """One image (C, H, W), grey or colour, as the address of a PNG; of other channels the first."""
    plane = np.moveaxis(image, 0, -1) if len(image) == 3 else image[0]
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(plane)).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
