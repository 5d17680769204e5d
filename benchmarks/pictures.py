"""The README's pictures of the study in this folder: the verdict and the digits of its page, and the page of `make ui`.

    make run && python -m benchmarks.pictures

Needs what `make test` needs, and Debian's Chromium.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

PAGE, IMAGES = Path("report/index.html"), Path("docs/images")
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
WIDTH = 1100  # pixels


def draw_study(page: Any) -> None:
    """verdict.png: the top of the page. digits.png: its section with real digits beside generated ones."""
    page.goto(PAGE.resolve().as_uri())
    page.screenshot(path=IMAGES / "verdict.png", clip={"x": 0, "y": 0, "width": WIDTH, "height": 1040})
    top, end = (page.locator(name).bounding_box()["y"] for name in ("#images", "#copies"))
    clip = {"x": 0, "y": top - 20, "width": WIDTH, "height": end - top - 40}
    page.screenshot(path=IMAGES / "digits.png", clip=clip, full_page=True)


def draw_app(page: Any) -> None:
    """app.png: replicate 0's generator, ten classes, 2026 written."""
    served = subprocess.Popen([sys.executable, "-m", "app", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert served.stdout is not None
        line = served.stdout.readline()
        if "http://" not in line:
            sys.exit("the page of `make ui` does not start; what it says is above")
        page.goto(next(word for word in line.split() if word.startswith("http://")))
        page.locator(".sheet figure").first.wait_for()
        page.locator(".written figure").first.wait_for()
        page.screenshot(path=IMAGES / "app.png", full_page=True)
        page.close()
    finally:
        served.terminate()
        served.wait()


def main() -> None:
    if not PAGE.exists():
        sys.exit(f"{PAGE}: no such file; `make run` makes it")
    if not CHROMIUM.exists():
        sys.exit(f"{CHROMIUM}: no such file; install Debian's package chromium")
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        draw_study(browser.new_page(viewport={"width": WIDTH, "height": 1040}))
        draw_app(browser.new_page(viewport={"width": 1280, "height": 1130}))
        browser.close()


if __name__ == "__main__":
    main()
