"""The README's pictures: verdict and digits of the study's page, the page of `make ui`, a run in Prefect's page.

    make run && python -m benchmarks.pictures
    python -m benchmarks.pictures run      # one of: study, app, run, which needs no `make run`; or budgets, of several

Needs what `make test` needs, and Debian's Chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

PAGE, IMAGES = Path("report/index.html"), Path("docs/images")
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
WIDTH = 1100  # pixels
# A study of minutes in which every stage runs; of the development part, so that it opens no test set.
SMALL = {
    "data.part": "development",
    "study.budgets": [10],
    "study.replicates": 2,
    "compare.primary.budget": 10,
    "oracle.steps": 200,
    "gan.steps": 200,
    "classifier.steps": 100,
    "generate.per_class": 50,
    "assess.images": 200,
}


def draw_study(page: Any) -> None:
    """verdict.png: the page above its links. digits.png: its section with real digits beside generated ones."""
    page.goto(PAGE.resolve().as_uri())
    links = page.locator("nav").first.bounding_box()["y"]
    page.screenshot(path=IMAGES / "verdict.png", clip={"x": 0, "y": 0, "width": WIDTH, "height": links})
    top, end = (page.locator(name).bounding_box()["y"] for name in ("#images", "#copies"))
    clip = {"x": 0, "y": top - 20, "width": WIDTH, "height": end - top - 20}
    page.screenshot(path=IMAGES / "digits.png", clip=clip, full_page=True)


def draw_budgets(page: Any) -> None:
    """budgets.png: the two charts over the budgets, of a study that has several."""
    page.goto(PAGE.resolve().as_uri())
    charts = [figure.bounding_box() for figure in page.locator("figure").all()[:2]]
    if "Delta against budget" not in page.locator("figure").first.inner_text():
        sys.exit(f"{PAGE}: of one budget; `dvc exp run -S 'study.budgets=[10,20,50,100]'` makes one of four")
    height = max(chart["height"] for chart in charts) + 20
    clip = {"x": 0, "y": charts[0]["y"] - 10, "width": WIDTH, "height": height}
    page.screenshot(path=IMAGES / "budgets.png", clip=clip, full_page=True)


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


def draw_run(page: Any) -> None:
    """prefect-run.png: the small study as a run in Prefect's page, its log from the end."""
    with small_study() as address:
        page.goto(address)
        page.get_by_role("button", name="Oldest to newest").press("ArrowDown")
        page.get_by_text("Newest to oldest").click()
        page.get_by_text("Finished in state Completed").first.wait_for()
        page.get_by_text("Logs", exact=True).click()  # away from the choice
        page.wait_for_timeout(3000)  # the graph moves until it fits
        page.screenshot(path=IMAGES / "prefect-run.png")
        page.close()


@contextmanager
def small_study() -> Iterator[str]:
    """Address of a finished run of SMALL, in a clone of the last commit with a server of its own, ended afterwards."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    study = {"overrides": [f"{name}={json.dumps(value)}" for name, value in SMALL.items()], "experiment": "small-study"}
    run = "prefect deployment run augmentation-study/on-demand --watch --param"
    asked = [f'. .prefect/env && {run} "study=$0"', json.dumps(study)]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name, "synthgain")
        subprocess.run(["git", "clone", "--quiet", ".", root], check=True)
        place: dict[str, Any] = {"cwd": root, "env": os.environ | {"SYNTHGAIN_PORT": str(port), "COLUMNS": "200"}}
        try:
            subprocess.run([sys.executable, "-m", "flows.server", "start"], check=True, **place)
            done = subprocess.run(["sh", "-c", *asked], capture_output=True, text=True, **place)
            if done.returncode != 0:
                sys.exit(f"the small study failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
            yield re.findall(r"http://\S+/flow-run/\S+", done.stdout)[0]
        finally:
            subprocess.run([sys.executable, "-m", "flows.server", "stop"], check=True, **place)


# What draws each, and the size of the window.
PICTURES: dict[str, tuple[Any, int, int]] = {
    "study": (draw_study, WIDTH, 1040),
    "app": (draw_app, 1280, 1130),
    "run": (draw_run, 1180, 940),
    "budgets": (draw_budgets, WIDTH, 900),
}
ALL = ("study", "app", "run")  # of the study at hand, whatever its budgets are


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=__doc__)
    parser.add_argument(
        "what", nargs="*", metavar="PICTURE", help=f"of {', '.join(PICTURES)}; {', '.join(ALL)} if none is named"
    )
    asked = parser.parse_args().what or list(ALL)
    if unknown := set(asked) - set(PICTURES):
        sys.exit(f"{', '.join(sorted(unknown))}: no such picture; there are {', '.join(PICTURES)}")
    if not PAGE.exists() and asked != ["run"]:
        sys.exit(f"{PAGE}: no such file; `make run` makes it")
    if not CHROMIUM.exists():
        sys.exit(f"{CHROMIUM}: no such file; install Debian's package chromium")
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name in asked:
            draw, width, height = PICTURES[name]
            draw(browser.new_page(viewport={"width": width, "height": height}))
        browser.close()


if __name__ == "__main__":
    main()
