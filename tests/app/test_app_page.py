"""The page as a person has it: a real server, Debian's Chromium, and no way out of the machine."""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from asyncio import CancelledError
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from app.__main__ import is_news, main
from app.shelf import Shelf
from app.studio import Request, answer, everything
from pipeline.images import load

PROJECT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
PICTURES = os.environ.get("SYNTHGAIN_PICTURES")  # a folder for screenshots
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
FLAGS += ["--disable-sync", "--no-first-run"]
# `python -m app`, with a line in a file for each name that Python looks up or address that it connects to.
WATCHED = """
import runpy, sys
calls = open(sys.argv.pop(1), "a", buffering=1)
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        print(event, arguments[0] if event == "socket.getaddrinfo" else arguments[1], file=calls)
sys.addaudithook(watch)
sys.argv[0] = "app"
runpy.run_module("app", run_name="__main__")
"""


@dataclass(frozen=True)
class Served:
    """`python -m app` on a copy of the tiny studies: budget 10 of digits, budget 6 of pets."""

    address: str
    artifacts: Path
    process: int
    calls: Path


@pytest.fixture(scope="module")
def served(digit_study: Path, pet_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    artifacts = Path(shutil.copytree(digit_study, folder / "artifacts"))
    shutil.copytree(pet_study / "gan" / "6", artifacts / "gan" / "60")
    shutil.copy(pet_study / "splits" / "6.npz", artifacts / "splits" / "60.npz")
    calls = folder / "calls"
    calls.touch()
    command = [sys.executable, "-c", WATCHED, str(calls), "--port", "0", "--artifacts", str(artifacts)]
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(
            command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "http://127.0.0.1:" in line, (folder / "log").read_text()
            address = next(word for word in line.split() if word.startswith("http://"))
            yield Served(address, artifacts, process.pid, calls)
            # As Ctrl+C does, while a page is open: its heartbeat.
            with httpx.stream("GET", f"{address}/gradio_api/heartbeat/open", timeout=20) as heartbeat:
                assert heartbeat.status_code == 200
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 0
            said = (folder / "log").read_text()
            assert "Traceback" not in said and "ERROR" not in said
        finally:
            process.kill()


class Proxy(threading.Thread):
    """Notes who wants to leave the machine: a browser asks its proxy for every address but loopback's."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.asked: list[str] = []
        self.door = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.door.getsockname()[1]}"

    def run(self) -> None:
        while True:
            with self.door.accept()[0] as guest:
                self.asked.append(guest.recv(1000).split(b"\r\n")[0].decode(errors="replace"))
                guest.sendall(b"HTTP/1.1 403 no\r\ncontent-length: 0\r\n\r\n")


@dataclass(frozen=True)
class Browser:
    """Debian's Chromium. requests: addresses that its pages asked for (Chromium's own requests are not among them)."""

    context: Any
    proxy: Proxy
    requests: list[str]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip("Debian's chromium is not installed")
    proxy = Proxy()
    proxy.start()
    with playwright.sync_playwright() as tools:
        flags = [*FLAGS, f"--proxy-server={proxy.address}"]
        chromium = tools.chromium.launch(executable_path=CHROMIUM, headless=True, args=flags)
        # One context, so that Gradio's scripts are read once.
        context = chromium.new_context(viewport={"width": 1440, "height": 1100})
        context.set_default_timeout(30_000)
        requests: list[str] = []
        context.on("request", lambda request: requests.append(request.url))
        yield Browser(context, proxy, requests)
        chromium.close()


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Any]:
    """The page, opened, its grid drawn."""
    page = browser.context.new_page()
    page.goto(served.address)
    page.locator(".sheet figure").first.wait_for()
    page.locator(".written figure").first.wait_for()
    yield page
    page.close()


def picture(page: Any, name: str) -> None:
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/app-{name}.png")


def become(page: Any, part: str, **values: Any) -> None:
    """Wait until as many elements match `part` as `count` says, or one has `text`."""
    for name, value in values.items():
        if name == "count":
            page.wait_for_function("([part, n]) => document.querySelectorAll(part).length === n", arg=[part, value])
        else:
            page.locator(part).filter(has_text=value).first.wait_for()


def put(page: Any, part: str, value: object) -> None:
    """Type into an input as a person does, and leave it."""
    page.locator(f"#{part} input, #{part} textarea").first.fill(str(value))
    page.keyboard.press("Tab")


def only(page: Any, *names: str) -> None:
    """Tick these classes and no other, at a program's speed."""
    page.locator("#classes label, #classes input").first.wait_for()
    for box in page.locator("#classes label:has(input[type=checkbox])").all():
        wanted = box.inner_text().strip() in names
        tick = box.locator("input")
        if tick.is_checked() != wanted and box.inner_text().strip():
            tick.set_checked(wanted)


def shown(page: Any, part: str) -> list[np.ndarray]:
    """The pixels of the images that match `part`."""
    addresses = page.eval_on_selector_all(part, "images => images.map(image => image.src)")
    files = [base64.b64decode(address.removeprefix("data:image/png;base64,")) for address in addresses]
    return [np.asarray(Image.open(io.BytesIO(file))) for file in files]


def test_it_opens_on_a_grid_beside_real_images(page: Any, served: Served) -> None:
    picture(page, "opened")
    assert "Ask the GAN" in page.inner_text("h1")
    assert "relativistic" in page.inner_text(".facts")
    expected = answer(Shelf(served.artifacts), Request(10, 0, tuple(range(10)), 8, 1, 1.0))
    assert expected.real is not None and expected.reading is not None
    assert np.array_equal(shown(page, ".sheet td:nth-child(2) img"), expected.images.pixels[:, 0])
    assert np.array_equal(shown(page, ".sheet td:nth-child(3) img"), expected.real.pixels[:, 0])

    # Every wrong reading has a cross in its text, and no right one has.
    captions = page.locator(".sheet td:nth-child(2) figcaption").all_inner_texts()
    wrong = expected.reading.labels != expected.images.labels
    assert captions == [f"{'✗ ' if w else ''}{r}" for w, r in zip(wrong, expected.reading.labels, strict=True)]
    assert wrong.any() and not wrong.all(), "the tiny study must have both"
    assert page.locator(".sheet figure.wrong").count() == wrong.sum()
    assert f"{(~wrong).sum()} of 80" in page.inner_text(".sheet .summary")


def test_a_class_a_count_a_seed_and_a_spread_change_the_grid_at_once(page: Any, served: Served) -> None:
    only(page, "7")
    become(page, ".sheet tbody tr", count=1)
    put(page, "each", 13)
    become(page, ".sheet td:nth-child(2) figure", count=13)
    put(page, "seed", 99)
    page.locator("#spread input[type=number]").fill("0.5")
    page.keyboard.press("Tab")
    become(page, ".sheet .downloads a[href*='seed=99'][href*='spread=0.5']", count=3)
    expected = everything(Shelf(served.artifacts), Request(10, 0, (7,), 13, 99, 0.5))
    assert np.array_equal(shown(page, ".sheet td:nth-child(2) img"), expected.pixels[:, 0])
    page.locator("#others").click()
    become(page, ".sheet .downloads a[href*='seed=99']", count=0)
    assert not np.array_equal(shown(page, ".sheet td:nth-child(2) img"), expected.pixels[:, 0])


def test_of_two_quick_changes_the_last_is_shown(page: Any, browser: Browser) -> None:
    for pause in (0, 10, 20, 40, 80, 160):
        put(page, "each", 8)
        page.wait_for_timeout(pause)
        put(page, "each", 3)
        become(page, ".sheet td:nth-child(2) figure", count=30)
    # Through Gradio's queue one change in thirty was lost, which a few tries need not show.
    assert not [address for address in browser.requests if "/queue/" in address]


def test_a_number_is_written(page: Any, served: Served) -> None:
    assert page.locator(".written img").count() == 4, "2026, as it opens"
    put(page, "text", "60317")
    become(page, ".written figure", count=5)
    shelf = Shelf(served.artifacts)
    first = everything(shelf, Request(10, 0, tuple(range(10)), 1, 1, 1.0)).pixels
    assert np.array_equal(shown(page, ".written img"), first[[6, 0, 3, 1, 7], 0])
    assert "The oracle reads" in page.inner_text(".written")
    with page.expect_download() as saved:
        page.get_by_text("Save as PNG").click()
    assert saved.value.suggested_filename == "60317.png"
    assert np.asarray(Image.open(saved.value.path())).shape == (28, 5 * 28)
    put(page, "text", "12x4")
    become(page, "#written [role=alert]", text="“x” is none of the classes 0, 1, 2")
    picture(page, "written")
    put(page, "text", "")
    become(page, "#written [role=alert]", text="Type a number, such as 2026")


def test_downloads_hold_what_is_seen(page: Any, served: Served, tmp_path: Path) -> None:
    from torchvision.datasets import MNIST

    put(page, "each", 60)
    become(page, ".sheet .summary", text="The first 500 of 600 are shown; a download holds all.")
    assert page.locator(".sheet td:nth-child(2) img").count() == 500
    expected = everything(Shelf(served.artifacts), Request(10, 0, tuple(range(10)), 60, 1, 1.0))
    files = {}
    for kind in ("png", "npz", "idx"):
        with page.expect_download() as saved:
            page.locator(f".sheet .downloads a[href*='/{kind}']").click()
        assert saved.value.suggested_filename.startswith("synthgain-10-replicate0-seed1-spread1-10x60-")
        files[kind] = tmp_path / saved.value.suggested_filename
        saved.value.save_as(files[kind])

    held = load(files["npz"])
    assert np.array_equal(held.pixels, expected.pixels) and np.array_equal(held.labels, expected.labels)
    zipfile.ZipFile(files["idx"]).extractall(tmp_path / "idx")
    mnist = MNIST(tmp_path / "idx", train=True)
    assert np.array_equal(mnist.data.numpy(), expected.pixels[:, 0])
    assert mnist.targets.tolist() == expected.labels.tolist()
    with zipfile.ZipFile(files["png"]) as archive:
        assert len(archive.namelist()) == 601
        with archive.open("7/420.png") as one:
            assert np.array_equal(np.asarray(Image.open(one)), expected.pixels[420, 0])


def test_absurd_requests_are_refused_on_the_page(page: Any, served: Served) -> None:
    put(page, "each", 1_000_000)
    become(page, "#grid [role=alert]", text="10,000,000 images; at most 10,000 are made at once. Ask for 1,000 of each")
    picture(page, "refused")
    assert page.locator(".sheet").count() == 0
    for part, value, message in (
        ("each", -3, "a whole number from 1 on"),
        ("each", "", "How many of each: is empty"),
        ("seed", 10**15, "Seed: a whole number from 0"),
    ):
        put(page, "each", 8)
        page.locator(".sheet").or_(page.locator("#grid [role=alert]")).first.wait_for()
        put(page, part, value)
        become(page, "#grid [role=alert]", text=message)
    put(page, "seed", 1)
    become(page, ".sheet", count=1)
    only(page)
    become(page, "#grid [role=alert]", text="Tick at least one class")


def test_absurd_addresses_are_refused(served: Served) -> None:
    good = {"budget": 10, "replicate": 0, "labels": "1,2", "each": 3, "seed": 1, "spread": 1}

    def get(kind: str = "npz", **change: object) -> httpx.Response:
        return httpx.get(f"{served.address}/download/{kind}", params={**good, **change}, timeout=20)

    assert get().status_code == 200
    for answered, message in (
        (get(each=10**9), "at most 10,000"),
        (get(labels="1,77"), "this generator has 10 classes"),
        (get(labels="a"), "whole numbers between commas"),
        (get(labels=""), "Tick at least one class"),
        (get(budget=11), "gan/11/config.json: no such file"),
        (get(replicate=9), "generator-9.safetensors: no such file"),
        (get(spread="nan"), "Spread"),
        (get("exe"), "unknown kind of file"),
        (get("idx", budget=60, labels="0,1"), "IDX files hold grey images"),
    ):
        assert answered.status_code == 400 and message in answered.text
        assert answered.text.count("\n") == 1 and "Traceback" not in answered.text
    assert get(budget="../..").status_code == 422


def test_named_coloured_classes_have_the_same_page(page: Any, served: Served) -> None:
    page.locator("#budget input").click()
    page.get_by_role("option", name="60").click()
    become(page, ".sheet tbody tr", count=2)
    assert page.locator(".sheet tbody th").all_inner_texts() == ["cat", "hot dog"]
    assert np.asarray(shown(page, ".sheet img")[0]).shape == (64, 64, 3)
    become(page, ".written figure", count=2)  # what was typed was a number; now it is the classes' names
    assert page.locator(".sheet .downloads a").count() == 2, "no IDX file holds colour"
    notes = " ".join(page.locator(".sheet .note").all_inner_texts())
    assert "oracle: trained on other data" in notes and "other data than this generator learnt from" in notes
    put(page, "text", "hot dog, cat, cat")
    become(page, ".written figure", count=3)
    picture(page, "pets")


def test_a_damaged_replicate_is_one_line_and_the_others_work(page: Any, served: Served) -> None:
    weights = served.artifacts / "gan" / "10" / "generator-1.safetensors"
    sound = weights.read_bytes()
    weights.write_bytes(sound[:999])  # in its place: the page must not have it mapped, or it dies of SIGBUS
    page.locator("#replicate input").click()
    page.get_by_role("option", name="1").click()
    become(page, "#grid [role=alert]", text="generator-1.safetensors: damaged (SafetensorError")
    weights.write_bytes(sound)
    page.locator("#replicate input").click()
    page.get_by_role("option", name="0").click()
    become(page, ".sheet figure", count=160)


def test_a_generator_too_large_for_the_memory_is_one_line_that_says_what_to_lower(page: Any, served: Served) -> None:
    path = served.artifacts / "gan" / "10" / "config.json"
    sound = path.read_text()
    config = json.loads(sound)
    config["networks"]["generator_width"] = 10**10  # 250 terabytes
    path.write_text(json.dumps(config))
    put(page, "seed", 5)
    for part in ("#grid", "#written"):
        become(page, f"{part} [role=alert]", text="out of memory; lower “How many of each”, or choose a generator with")
    path.write_text(sound)
    put(page, "seed", 6)
    become(page, ".sheet figure", count=160)


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")
def test_a_download_too_large_for_the_memory_is_one_line_and_the_page_lives_on(served: Served) -> None:
    def get(each: int) -> tuple[int, bytes]:
        asked = {"budget": 60, "replicate": 0, "labels": "0,1", "each": each, "seed": 1, "spread": 1}
        got = httpx.get(f"{served.address}/download/npz", params=asked, timeout=60)
        return got.status_code, got.content

    small, before = get(3), resource.prlimit(served.process, resource.RLIMIT_AS)
    room = 64 * 2**20  # half of the 10,000 images' pixels
    used = psutil.Process(served.process).memory_info().vms
    resource.prlimit(served.process, resource.RLIMIT_AS, (used + room, before[1]))
    try:
        status, line = get(5000)
        assert status == 400 and line.decode().startswith("out of memory; lower “How many of each”"), line
        assert line.count(b"\n") == 1
        assert get(3) == small and small[0] == 200
    finally:
        resource.prlimit(served.process, resource.RLIMIT_AS, before)
    assert get(5000)[0] == 200


def test_with_no_generator_the_page_says_what_makes_one(browser: Browser, served: Served) -> None:
    gan = served.artifacts / "gan"
    gan.rename(served.artifacts / "away")
    page = browser.context.new_page()
    try:
        page.goto(served.address)
        page.get_by_text("No trained generator yet").wait_for()
        picture(page, "empty")
        said = page.inner_text(".empty")
        assert "make run" in said and "dvc pull" in said and str(gan) in said
        assert not page.locator("#controls").is_visible()
    finally:
        (served.artifacts / "away").rename(gan)
    page.reload()
    page.locator(".sheet figure").first.wait_for()
    page.close()


def test_nothing_leaves_the_machine(page: Any, browser: Browser, served: Served) -> None:
    page.wait_for_timeout(1000)
    assert len(browser.requests) > 10
    away = [address for address in browser.requests if not address.startswith((served.address, "data:", "blob:"))]
    assert away == [], "the page itself asks for nothing"
    made = served.calls.read_text().splitlines()
    assert [line for line in made if "127.0.0.1" not in line and "localhost" not in line] == []
    process = psutil.Process(served.process)
    connections = process.net_connections(kind="inet")
    assert [one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN] == ["127.0.0.1"]
    assert {one.raddr.ip for one in connections if one.raddr} <= {"127.0.0.1"}
    assert httpx.get(served.address, headers={"Host": "example.org"}).status_code == 400


def test_whatever_the_page_tried_the_policy_would_stop(page: Any, browser: Browser) -> None:
    image = "new Promise(done => { const i = new Image(); i.onerror = done; i.src = 'http://example.org/PATH' })"
    page.evaluate("fetch('http://example.org/').catch(() => 0)")
    page.evaluate(image)
    page.wait_for_timeout(500)
    assert not any("example.org" in line for line in browser.proxy.asked)
    other = browser.context.new_page()  # without a policy, the same does reach the proxy
    other.goto("about:blank")
    other.evaluate(image)
    assert any("example.org" in line for line in browser.proxy.asked)
    other.close()
    browser.requests[:] = [address for address in browser.requests if "example.org" not in address]


class TestTheCommand:
    def test_a_taken_port_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            assert main(["--port", str(port)]) == 2
        said = capsys.readouterr().err
        assert f"port {port} of 127.0.0.1 cannot be had (Address already in use)" in said
        assert f"make ui PORT={port + 1}" in said and said.count("\n") == 1

    @pytest.mark.parametrize("port", ["-1", "65536"])
    def test_a_port_that_is_none_is_one_line(self, port: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--port", port]) == 2
        assert capsys.readouterr().err == f"port {port}: ports go from 0 to 65535; choose one with --port\n"

    def test_without_gradio_it_says_how_to_get_it(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        assert main([]) == 2
        assert "run `make ui`" in capsys.readouterr().err


def test_an_end_with_a_page_open_is_no_news() -> None:
    def logged(text: str, error: BaseException | None = None) -> logging.LogRecord:
        why = (type(error), error, None) if error else None
        return logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, text, (1,), why)  # type: ignore[arg-type]

    assert not is_news(logged("Cancel %s running task(s), timeout graceful shutdown exceeded"))
    assert not is_news(logged("Exception in ASGI application %s", CancelledError()))
    assert is_news(logged("Exception in ASGI application %s", ValueError()))
    assert is_news(logged("%s"))


def test_nothing_imports_the_page() -> None:
    for folder in ("pipeline", "flows", "benchmarks"):
        for path in (PROJECT / folder).rglob("*.py"):
            for line in path.read_text().splitlines():
                assert not line.startswith(("from app", "import app")), path
