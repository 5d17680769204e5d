"""`python -m app`: a page on loopback on which a person asks a trained generator for images.

    python -m app [--port 7860] [--artifacts artifacts]

`make ui` installs what it needs first. Ctrl+C ends it.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import socket
import sys
from asyncio import CancelledError
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import InputError

LOOPBACK = "127.0.0.1"
PORT = 7860


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status, 2 for the user's mistake."""
    parser = argparse.ArgumentParser(prog="python -m app", description="Ask a trained generator for images, in a page.")
    parser.add_argument("--port", type=int, default=PORT, help=f"on {LOOPBACK}; default {PORT}")
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="of the study; default artifacts")
    asked = parser.parse_args(arguments)
    try:
        _require_gradio()
        with _bind(asked.port) as own:
            _run(own, asked.artifacts)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(file=sys.stderr)
    return 0


def _require_gradio() -> None:
    if importlib.util.find_spec("gradio") is None:
        raise InputError("the page needs Gradio, which is not installed; run `make ui`, or pip install -e '.[app]'")


def _bind(port: int) -> socket.socket:
    """A socket that holds `port` on loopback. Raises InputError if it is taken, or no port at all."""
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # not held up by connections that an earlier run left
    try:
        own.bind((LOOPBACK, port))
        own.listen()
    except (OSError, OverflowError) as error:
        own.close()
        if isinstance(error, OverflowError) or port < 0:
            raise InputError(f"port {port}: ports go from 0 to 65535; choose one with --port") from None
        reason = error.strerror or error
        raise InputError(
            f"port {port} of {LOOPBACK} cannot be had ({reason}); choose another: make ui PORT={port + 1}"
        ) from None
    return own


def _run(own: socket.socket, artifacts: Path) -> None:
    import uvicorn  # late, with Gradio: they take seconds, and a taken port needs neither

    from app.page import serve
    from app.shelf import Shelf

    app = serve(artifacts)
    entries, complaints = Shelf(artifacts).entries()
    for line in complaints:
        print(line, file=sys.stderr)
    if not entries:
        print(f"{artifacts / 'gan'}: no trained generator; `make run` (or `dvc pull`) makes one", file=sys.stderr)
    print(f"The page is at http://{LOOPBACK}:{own.getsockname()[1]} (on this machine only; Ctrl+C ends it)", flush=True)
    # A page that is open would hold the end up.
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    logging.getLogger("uvicorn.error").addFilter(is_news)
    uvicorn.Server(config).run(sockets=[own])


def is_news(record: logging.LogRecord) -> bool:
    """All but what the end of the server does to a page that is open: it cancels the page's heartbeat, which uvicorn
    logs as an error, with a traceback of three screens.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, CancelledError) and not record.getMessage().startswith("Cancel ")


if __name__ == "__main__":
    sys.exit(main())
