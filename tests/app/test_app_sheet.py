"""What the page is given is safe and says in words what it shows in colour."""

from __future__ import annotations

import numpy as np
import pytest

from app.sheet import answer_to_html, empty_to_html, entry_to_html, message_to_html, written_to_html
from app.shelf import Entry
from app.studio import Answer, Reading, Request, Written
from pipeline.images import LabelledImages

NASTY = "<img src=x onerror=alert(1)>"


def made(name: str, channels: int = 1) -> Answer:
    entry = Entry(5, name, 10, 1, (channels, 8, 8), (name, "b"))
    images = LabelledImages(np.zeros((4, channels, 8, 8), np.uint8), np.array([0, 0, 1, 1]), entry.classes)
    reading = Reading(np.array([0, 1, 1, 1]), np.array([0.9, 0.6, 1.0, 1.0]))
    return Answer(Request(5, 0, (0, 1), 2, 1, 1.0), entry, images, reading, images, (name,))


def test_no_name_becomes_markup() -> None:
    answer = made(NASTY)
    for html in (
        answer_to_html(answer),
        written_to_html(Written(answer.images, answer.reading), NASTY),
        entry_to_html(answer.entry),
        message_to_html(NASTY),
        empty_to_html(NASTY),
    ):
        assert "<img src=x" not in html
        assert "onerror" not in html or "&lt;img src=x onerror=alert(1)&gt;" in html


def test_a_wrong_reading_is_told_without_colour() -> None:
    html = answer_to_html(made("a"))
    assert html.count('<figure class="wrong"') == 1
    assert "<figcaption>✗ b</figcaption>" in html and html.count("✗") == 2, "once more in the legend"
    assert 'alt="generated a; the oracle reads b (60% sure)"' in html
    assert "<strong>3 of 4</strong>" in html


@pytest.mark.parametrize(("channels", "links"), [(1, 3), (3, 2)])
def test_idx_is_offered_for_grey_images_alone(channels: int, links: int) -> None:
    assert answer_to_html(made("a", channels)).count("/download/") == links
