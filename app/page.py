"""The page: controls at the left, a written number and the grid at the right; and the downloads, as plain addresses.

Nothing leaves the machine: Gradio's telemetry, version check and fonts are off, and the browser is told (by a content
security policy) to load from this server alone.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

# Before Gradio is imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["DO_NOT_TRACK"] = "1"

import gradio as gr
import torch
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request as Asked

from app import sheet, studio
from app.packing import pack
from app.shelf import Entry, Shelf
from pipeline.errors import InputError
from pipeline.memory import within_memory

TITLE = "Ask the GAN"
EACH, SEED = 8, 1  # of the page as it opens
FEWER = "lower “How many of each”, or choose a generator with smaller networks."
STYLE = Path(__file__).with_name("style.css")
SOFT, SOFT_DARK = "#5d5d62", "#a6a7ad"
SYSTEM = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)
INTRODUCTION = f"""# {TITLE}
A generator learnt from a few real images. Here it draws new ones, beside the real ones that it learnt from; under each
new one stands what an independent classifier, the *oracle*, reads in it."""

Controls = tuple[Any, ...]


def serve(artifacts: Path) -> FastAPI:
    """The page and its downloads, for the trained generators in `artifacts`."""
    torch.set_num_threads(1)  # the same bytes on any number of cores; sampling takes milliseconds
    shelf = Shelf(artifacts)
    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=None)
    # Loopback alone is not enough: another site's page could reach it under a name that leads here.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])

    @app.middleware("http")
    async def nothing_from_elsewhere(asked: Asked, call: Callable[[Asked], Awaitable[Response]]) -> Response:
        response = await call(asked)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    @app.get("/download/{kind}")
    def download(kind: str, budget: int, replicate: int, labels: str, each: int, seed: int, spread: float) -> Response:
        try:
            request = studio.Request(budget, replicate, _to_labels(labels.split(",")), each, seed, spread)
            with within_memory(FEWER):
                content = pack(studio.everything(shelf, request), kind)
        except InputError as error:
            return PlainTextResponse(f"{error}\n", 400)
        name = sheet.request_to_name(request, kind)
        return Response(
            content,
            media_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    theme = gr.themes.Base(font=SYSTEM, font_mono=("ui-monospace", "monospace"), primary_hue="blue").set(
        body_text_color_subdued=SOFT,
        body_text_color_subdued_dark=SOFT_DARK,
        block_info_text_color=SOFT,
        block_info_text_color_dark=SOFT_DARK,
    )
    return gr.mount_gradio_app(
        app,
        layout(shelf),
        path="/",
        server_name="127.0.0.1",
        footer_links=[],
        ssr_mode=False,
        show_error=True,
        theme=theme,
        css_paths=[STYLE],
        run_history=False,
    )


def layout(shelf: Shelf) -> gr.Blocks:
    """The page's parts and what each event changes."""
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        classes = gr.State(None)  # of the generator that is chosen
        # Another text each time that the program itself has changed the controls; unseen (style.css), but in the page,
        # or it would raise no event.
        turn = gr.Textbox(elem_id="turn", show_label=False, container=False)
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        empty = gr.HTML(visible=False)
        with gr.Row(visible=False, elem_id="desk") as desk:
            with gr.Column(scale=0, min_width=290, elem_id="controls"):
                with gr.Row(elem_classes="pair"):
                    budget = gr.Dropdown(
                        label="Budget", info="Real images of each class.", min_width=120, elem_id="budget"
                    )
                    replicate = gr.Dropdown(
                        label="Replicate", info="Each saw other ones.", min_width=120, elem_id="replicate"
                    )
                facts = gr.HTML()
                labels = gr.CheckboxGroup(label="Classes", show_select_all=True, elem_id="classes")
                each = gr.Number(EACH, label="How many of each", precision=0, elem_id="each")
                with gr.Row(elem_classes="pair"):
                    seed = gr.Number(SEED, label="Seed", precision=0, min_width=120, elem_id="seed")
                    others = gr.Button("Draw others", variant="primary", min_width=120, elem_id="others")
                spread = gr.Slider(
                    0,
                    2,
                    1,
                    step=0.05,
                    label="Spread",
                    info="1 as trained; less: more alike; more: odder.",
                    elem_id="spread",
                )
            with gr.Column(scale=1, min_width=320):
                with gr.Row(elem_id="writing"):
                    text = gr.Textbox("2026", label="Write", max_lines=1, scale=0, min_width=270, elem_id="text")
                    written = gr.HTML(elem_id="written")
                grid = gr.HTML(elem_id="grid")

        asked, worded = [budget, replicate, labels, each, seed, spread], [text, budget, replicate, seed, spread]
        # Answers come with the request itself: through Gradio's queue one in thirty quick changes never reached the
        # page, whose stream of answers had just been closed.
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "queue": False}
        at_once: dict[str, Any] = {**quiet, "trigger_mode": "always_last"}

        def draw(*values: Any) -> str:
            try:
                with within_memory(FEWER):
                    return sheet.answer_to_html(studio.answer(shelf, _to_request(*values)))
            except InputError as error:
                return sheet.message_to_html(str(error))

        def write(text: str, budget: int, replicate: int, seed: float, spread: float) -> str:
            try:
                request = _to_request(budget, replicate, [0], 1, seed, spread)
                with within_memory(FEWER):
                    return sheet.written_to_html(studio.write(shelf, request, text), text)
            except InputError as error:
                return sheet.message_to_html(str(error))

        def opened() -> Controls:
            entries, complaints = shelf.entries()
            lines = "".join(sheet.message_to_html(line, "note") for line in complaints)
            if not entries:
                nothing = sheet.empty_to_html(str(shelf.artifacts / "gan")) + lines
                return gr.Row(visible=False), gr.HTML(nothing, visible=True), *[gr.skip()] * 6
            budgets = gr.Dropdown([(str(entry.budget), entry.budget) for entry in entries], value=entries[0].budget)
            message = gr.HTML(lines, visible=bool(lines))
            return gr.Row(visible=True), message, budgets, *_of_entry(entries[0], 0, None)

        def turned(budget: int, replicate: int, classes: tuple[str, ...] | None) -> Controls:
            try:
                return _of_entry(shelf.entry(budget), replicate, classes)
            except InputError as error:
                return gr.skip(), sheet.message_to_html(str(error)), *[gr.skip()] * 3

        of_entry = [replicate, facts, labels, text, classes]
        for event in (
            page.load(opened, None, [desk, empty, budget, *of_entry], **quiet),
            budget.select(turned, [budget, replicate, classes], of_entry, **quiet),
            others.click(lambda: secrets.randbelow(studio.SEEDS), None, seed, **quiet),
        ):
            event.then(lambda: secrets.token_hex(8), None, turn, **quiet)
        # One listener for all that changes a picture: of two, the answer to the older question could come last.
        gr.on(
            [turn.change, *(one.input for one in (replicate, labels, each, seed, spread))], draw, asked, grid, **at_once
        )
        # Not text.input, which a pasted text does not raise.
        gr.on(
            [turn.change, text.change, *(one.input for one in (replicate, seed, spread))],
            write,
            worded,
            written,
            **at_once,
        )
    return page


def _of_entry(entry: Entry, replicate: int, classes: tuple[str, ...] | None) -> Controls:
    """Replicates, facts, classes, what can be written, and the classes again; where they are `classes`, ticks and text
    stay.
    """
    replicates = gr.Dropdown(
        [(str(number), number) for number in range(entry.replicates)],
        value=replicate if replicate < entry.replicates else 0,
    )
    if entry.classes == classes:
        return replicates, sheet.entry_to_html(entry), gr.skip(), gr.skip(), classes
    digits = all(name.isdecimal() and len(name) == 1 for name in entry.classes)
    return (
        replicates,
        sheet.entry_to_html(entry),
        gr.CheckboxGroup(
            [(name, label) for label, name in enumerate(entry.classes)],
            value=list(range(len(entry.classes))),
            label="Digits" if digits else "Classes",
        ),
        gr.Textbox(studio.text_example(entry.classes), label=f"Write {studio.text_hint(entry.classes)}"),
        entry.classes,
    )


def _to_request(
    budget: int | None,
    replicate: int | None,
    labels: list[int],
    each: float | None,
    seed: float | None,
    spread: float | None,
) -> studio.Request:
    """The controls' values as a request. Raises InputError naming the one that is empty."""
    for name, value in (
        ("Real images", budget),
        ("Replicate", replicate),
        ("How many of each", each),
        ("Seed", seed),
        ("Spread", spread),
    ):
        if value is None:
            raise InputError(f"{name}: is empty; type a number.")
    assert budget is not None and replicate is not None and each is not None and seed is not None and spread is not None
    return studio.Request(int(budget), int(replicate), _to_labels(labels), int(each), int(seed), float(spread))


def _to_labels(values: list[Any]) -> tuple[int, ...]:
    """Labels in ascending order, each once. Raises InputError if one is no whole number."""
    try:
        return tuple(sorted({int(value) for value in values if value != ""}))
    except ValueError:
        raise InputError("labels: whole numbers between commas") from None
