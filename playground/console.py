"""What the commands share: progress on a terminal, outputs checked before the work, pictures in and out."""

import io
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import typer

from playground import distributed, uploads, weights
from playground.locale import Told
from playground.training import TrainingDiverged


class Failure(Exception):
    """What a command cannot do, in one sentence."""


def said_by_main(error: Exception) -> bool:
    """Whether this process may be silent: all those that train together meet such errors alike."""
    alike = isinstance(error, Failure | Told | TrainingDiverged | ValueError | typer.TyperException)
    return alike and not distributed.is_main()


def duration(seconds: float) -> str:
    """Seconds as a person says them: 4 s, 3 min 20 s, 2 h 5 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def how_to_resume(name: str, minutes: float | None, seed: int, pairs: list[str], free: str | None) -> str:
    """By which command a training that was stopped goes on."""
    options = (f" --minutes {minutes:g}" if minutes else "") + (f" --seed {seed}" if seed else "")
    options += "".join(f" --set {shlex.quote(pair)}" for pair in pairs)
    options += f" --free {shlex.quote(free)}" if free else ""
    return f"`python -m playground pretrain {name}{options} --resume` goes on from there."


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Collect the first interrupt instead of raising it inside an update; the second one raises."""
    seen: list[int] = []

    def note(number: int, frame: Any) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Progress:
    """One line on the terminal behind standard error, rewritten a few times a second; elsewhere nothing."""

    def __init__(self, what: str) -> None:
        """`what` stands at the beginning of the line."""
        self.what, self.start, self.drawn = what, time.monotonic(), 0.0
        self.shown = sys.stderr.isatty()

    def __enter__(self) -> "Progress":
        """Start the clock."""
        return self

    def update(self, done: float, what: str = "", left: float | None = None) -> None:
        """`done` of the work, 0 to 1, is behind us; `left` seconds remain, or what the pace so far says."""
        now = time.monotonic()
        if not self.shown or (now - self.drawn < 0.2 and done < 1):
            return
        self.drawn = now
        if left is None and done:
            left = (now - self.start) * (1 - done) / done
        rest = "" if left is None else f", {duration(left)} left"
        print(f"\r\x1b[K{what or self.what}: {done:.0%}{rest}", end="", file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the line."""
        if self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def check_output(path: Path, suffixes: tuple[str, ...]) -> None:
    """Say before the work, not after it, that its result could not be written.

    Raises:
        Failure: if the name has another suffix, or no file can be made there.
    """
    if path.suffix.lower() not in suffixes:
        raise Failure(f"The output must end in {' or '.join(suffixes)}; got '{path}'.")
    if path.is_dir():
        raise Failure(f"The output {path} is a folder; name a file.")
    if not path.parent.is_dir():
        raise Failure(f"The output's folder {path.parent} does not exist; make it first.")
    check_writable(path.parent)


def check_checkpoint(path: Path) -> None:
    """See that a checkpoint can be written there."""
    if path.is_dir():
        raise Failure(f"{path} is a folder; checkpoints are written there: move it away.")
    check_writable(path.parent)


def check_writable(folder: Path) -> None:
    """Make the folder if need be, and see that files can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Failure(f"Nothing can be written to {folder} ({error.strerror or error}).") from error


def write(path: Path, content: bytes) -> None:
    """Write an output, whole or not at all; a link stays, what it points to is written."""
    try:
        weights.atomic_write(Path(os.path.realpath(path)), content)
    except OSError as error:
        raise Failure(f"{path} cannot be written ({error.strerror or error}).") from error


def npz(images: np.ndarray, labels: np.ndarray) -> bytes:
    """The arrays ``images`` uint8 (N, H, W, C) and ``labels`` int64 (N,), compressed."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=images, labels=labels)
    return buffer.getvalue()


def read(path: Path) -> bytes:
    """The bytes of a file, of so many only that a picture that is too heavy is seen to be.

    Raises:
        Failure: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(uploads.MAX_BYTES + 1)
    except OSError as error:
        raise Failure(f"{path} cannot be read ({error.strerror or error}).") from error
