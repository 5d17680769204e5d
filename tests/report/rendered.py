"""A page that was written, and a reader of it."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from pipeline.report.page import write


class Page(HTMLParser):
    """A page's tags, checked for balance as they come, and its text."""

    VOID = ("meta", "img", "br", "wbr", "hr", "input", "link", "source")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.text += " " * (tag == "br")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"
        self.text += " " * (tag in ("td", "th"))

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text = re.sub("[ \\n]+", " ", self.text + data)

    def values(self, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for _, attrs in self.tags if attribute in attrs]


def render(root: Path, params: dict[str, Any]) -> str:
    write(root, params["study"]["budgets"], params, root / "report")
    return (root / "report/index.html").read_text(encoding="utf-8")


def section(html: str, name: str) -> str:
    """A section of the page, without its heading."""
    return html.split(f'<h2 id="{name}">')[1].split("</h2>")[1].split("<h2")[0]
