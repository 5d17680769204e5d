"""How far long work has come: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

from tqdm import tqdm

PLAIN_EVERY = 10.0  # seconds between two plain lines
DATAGRAM = 2**16  # bytes, the most that UDP carries
LOOPBACK = "127.0.0.1"


class Progress:
    """Shows the steps of several replicates as one count, with the latest losses and the time left.

    label: what runs. total: steps of all replicates together. before: those of them that an earlier run has done, which
    say nothing of how fast this one is. Use as a context manager.
    """

    def __init__(self, label: str, total: int, before: int = 0) -> None:
        self.label, self.total, self.before = label, total, before
        self.done: dict[int, int] = {}
        self.began = self.said = time.monotonic()
        self.lock = threading.Lock()
        self.bar = None
        if sys.stderr.isatty():
            self.bar = tqdm(total=total, initial=before, desc=label, unit="step", dynamic_ncols=True)

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
        here, now = sum(self.done.values()), time.monotonic()
        steps = self.before + here
        if self.bar is not None:
            self.bar.set_postfix(losses, refresh=False)
            self.bar.update(steps - self.bar.n)
        elif now - self.said >= PLAIN_EVERY or steps >= self.total:
            self.said = now
            left = (now - self.began) * (self.total - steps) / max(1, here)
            shown = "".join(f" {name} {value:.3f}" for name, value in losses.items())
            print(f"{self.label}: step {steps} of {self.total},{shown and shown + ','} {left:.0f} s left", flush=True)


class Here:
    """Reports replicate `number` to the progress shown by this process."""

    def __init__(self, progress: Progress, number: int) -> None:
        self.progress, self.number = progress, number

    def __call__(self, record: Mapping[str, float]) -> None:
        self.progress.update(self.number, record)


class Address(NamedTuple):
    """Where a process listens for reports, and the word that tells them from what strangers send there."""

    host: str
    port: int
    word: str


@dataclass(frozen=True)
class Elsewhere:
    """Reports replicate `number` to another process, perhaps on another machine, which listens at `address`.

    By datagrams: a listener that is gone or cannot be reached costs the training nothing, and shows nothing.
    """

    address: Address
    number: int

    def __call__(self, record: Mapping[str, float]) -> None:
        message = json.dumps([self.address.word, self.number, dict(record)]).encode()
        with suppress(OSError), _socket(self.address.host) as sender:
            sender.sendto(message, (self.address.host, self.address.port))


@contextmanager
def listening(progress: Progress, host: str = LOOPBACK) -> Iterator[Address]:
    """Show on `progress` what other processes report to the address that this yields.

    host: this machine, by the name or number at which those processes find it.
    """
    with _socket(host) as listener:
        with suppress(OSError):  # not even loopback is there: nothing is shown, and the work goes on
            listener.bind((host, 0))
        address = Address(host, listener.getsockname()[1], secrets.token_hex(8))
        thread = threading.Thread(target=_receive, args=(listener, address.word, progress), daemon=True)
        thread.start()
        try:
            yield address
        finally:
            with suppress(OSError):  # the last of all datagrams: nothing more will come
                listener.sendto(json.dumps([address.word, None, {}]).encode(), listener.getsockname())
                thread.join(1)


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)


def _receive(listener: socket.socket, word: str, progress: Progress) -> None:
    while True:
        try:
            said, number, record = json.loads(listener.recv(DATAGRAM))
        except (ValueError, TypeError):  # a stranger's
            continue
        except OSError:  # closed
            return
        if said == word and number is None:
            return
        if said == word:
            progress.update(number, record)
