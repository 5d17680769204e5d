"""How far long work has come: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Client, Connection, Listener

from tqdm import tqdm

PLAIN_EVERY = 10.0  # seconds between two plain lines


class Progress:
    """Shows the steps of several replicates as one count, with the latest losses and the time left.

    label: what runs. total: steps of all replicates together. Use as a context manager.
    """

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total = label, total
        self.done: dict[int, int] = {}
        self.began = self.said = time.monotonic()
        self.lock = threading.Lock()
        self.bar = tqdm(total=total, desc=label, unit="step", dynamic_ncols=True) if sys.stderr.isatty() else None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def update(self, replicate: int, record: Mapping[str, float]) -> None:
        """Replicate `replicate` has reached `record["step"]`; its losses are shown. Any thread may call it."""
        with self.lock:
            self._update(replicate, record)

    def _update(self, replicate: int, record: Mapping[str, float]) -> None:
        self.done[replicate] = int(record["step"])
        losses = {name.removesuffix("_loss"): round(value, 3) for name, value in record.items() if "loss" in name}
        steps, now = sum(self.done.values()), time.monotonic()
        if self.bar is not None:
            self.bar.set_postfix(losses, refresh=False)
            self.bar.update(steps - self.bar.n)
        elif now - self.said >= PLAIN_EVERY or steps >= self.total:
            self.said = now
            left = (now - self.began) * (self.total - steps) / max(1, steps)
            shown = "".join(f" {name} {value:.3f}" for name, value in losses.items())
            print(f"{self.label}: step {steps} of {self.total},{shown and shown + ','} {left:.0f} s left", flush=True)


class Here:
    """Reports replicate `number` to the progress shown by this process."""

    def __init__(self, progress: Progress, number: int) -> None:
        self.progress, self.number = progress, number

    def __call__(self, record: Mapping[str, float]) -> None:
        self.progress.update(self.number, record)


class Elsewhere:
    """Reports replicate `number` to another process, which listens at `address`; connects at its first record."""

    def __init__(self, address: str, number: int) -> None:
        self.address, self.number = address, number
        self.connection: Connection | None = None

    def __call__(self, record: Mapping[str, float]) -> None:
        if self.connection is None:
            self.connection = Client(self.address)  # type: ignore[assignment]
        self.connection.send((self.number, dict(record)))  # type: ignore[union-attr]


@contextmanager
def listening(progress: Progress) -> Iterator[str]:
    """Show on `progress` what worker processes report to the address that this yields."""
    with Listener(backlog=64) as listener:
        threading.Thread(target=_accept, args=(listener, progress), daemon=True).start()
        yield str(listener.address)


def _accept(listener: Listener, progress: Progress) -> None:
    while True:
        try:
            connection = listener.accept()
        except OSError:  # closed: the work is done
            return
        threading.Thread(target=_receive, args=(connection, progress), daemon=True).start()


def _receive(connection: Connection, progress: Progress) -> None:
    try:
        while True:
            progress.update(*connection.recv())
    except (EOFError, OSError):  # the worker has ended
        connection.close()
