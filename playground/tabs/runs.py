"""Fairness between sessions: how many runs one may hold, whose turn it is, and how a run is stopped."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from playground.locale import Told

_ABANDONED = 120.0  # seconds without a step: its page was closed and gradio never resumed the generator


class Refused(Told, RuntimeError):
    """A run that may not start now."""


class Turns:
    """A lock that serves in the order of asking, so that runs alternate step by step."""

    def __init__(self) -> None:
        """Free."""
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the device for one step."""
        with self._guard:
            ticket = threading.Event()
            if self._taken:
                self._waiting.append(ticket)
            else:
                self._taken = True
                ticket.set()
        ticket.wait()
        try:
            yield
        finally:
            with self._guard:
                if self._waiting:
                    self._waiting.popleft().set()  # the device passes on without becoming free
                else:
                    self._taken = False


class Run:
    """One run of a session, until it ends or is stopped."""

    def __init__(self, session: str, kind: str, turns: Turns) -> None:
        """A run that has not been stopped."""
        self.session, self.kind, self.touched = session, kind, time.monotonic()
        self.superseded = False
        self._turns = turns
        self._stop = threading.Event()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the device for one step."""
        self.touched = time.monotonic()
        with self._turns.turn():
            yield
        self.touched = time.monotonic()

    @property
    def stopped(self) -> bool:
        """Whether someone asked it to stop."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask it to stop; it does before its next step."""
        self._stop.set()


class Runs:
    """Every run there is."""

    def __init__(self, per_session: int, in_all: int) -> None:
        """How many runs a session may hold, and the machine."""
        self.per_session, self.in_all = per_session, in_all
        self._turns = Turns()
        self._guard = threading.Lock()
        self._open: set[Run] = set()

    @contextmanager
    def open(self, session: str, kind: str, *, newest: bool = False) -> Iterator[Run]:
        """A run for as long as the block lasts.

        With `newest` it takes the place of the session's runs of the same kind: they stop and are
        `superseded`, which means that they must not draw any more.

        Raises:
            Refused: if the session, or everyone together, already holds too many.
        """
        run = Run(session, kind, self._turns)
        with self._guard:
            self._open = {other for other in self._open if run.touched - other.touched < _ABANDONED}
            if newest:
                self._supersede(session, kind)
            if sum(other.session == session for other in self._open) >= self.per_session:
                raise Refused("common.too_many", number=self.per_session)
            if len(self._open) >= self.in_all:
                raise Refused("common.crowded")
            self._open.add(run)
        try:
            yield run
        finally:
            with self._guard:
                self._open.discard(run)

    def _supersede(self, session: str, kind: str) -> None:
        for other in [r for r in self._open if r.session == session and r.kind == kind]:
            other.superseded = True
            other.stop()
            self._open.discard(other)

    def stop(self, session: str, kind: str | None = None) -> int:
        """Stop a session's runs, of one kind or all; returns how many there were."""
        with self._guard:
            mine = [r for r in self._open if r.session == session and kind in (None, r.kind)]
        for run in mine:
            run.stop()
        return len(mine)
