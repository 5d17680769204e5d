"""A figure's way onto the page."""

import base64
import re
from xml.etree import ElementTree

from matplotlib.axes import Axes

from pipeline.report.theme import draw


def test_a_figure_is_rounded_but_what_it_says_is_not() -> None:
    said = ['0.00512 > "0.12345"', "$a_b$ <b>"]

    def paint(left: Axes, right: Axes) -> None:
        left.plot([0, 1 / 3, 1], [0, 1 / 7, 1])
        for axes, text in zip((left, right), said, strict=True):
            axes.set_title(text)

    picture = draw(paint, 2, "two panels", columns=2, width=4)
    svg = base64.b64decode(picture.src.split(",")[1]).decode()
    root = ElementTree.fromstring(svg)
    texts = [element.text for element in root.iter() if element.tag.endswith("}text")]
    assert set(said) <= set(texts)
    places = [value for element in root.iter() for value in re.findall(r"\d+\.\d+", element.get("d", ""))]
    assert len(places) > 10 and all(len(value.split(".")[1]) <= 2 for value in places)
    assert (picture.width, picture.height) == (384, 192) and "DejaVu" not in svg
