"""Fairness between sessions: who may run, who waits for a place, whose turn it is, how a run is stopped."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from playground.locale import Told

_ABANDONED = 120.0  # seconds without a step: its page was closed and gradio never resumed the generator
_LOOK_AGAIN = 1.0  # seconds after which who waits looks whether one was abandoned
REMINDER = 15.0  # seconds between two words about the place in line


class Refused(Told, RuntimeError):
    """A run that may not start now."""


class Superseded(Exception):
    """A run that still waited when its session began another of the kind: it draws nothing."""


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
        self.touched = math.inf  # who waits or computes is there
        try:
            with self._turns.turn():
                yield
        finally:
            self.touch()

    def touch(self) -> None:
        """Say that it is still there, where it does something else for long."""
        self.touched = time.monotonic()

    def during(self, steps: Iterable[object]) -> None:
        """Do something long that is done step by step, outside of a turn."""
        for _ in steps:
            self.touch()

    @property
    def stopped(self) -> bool:
        """Whether someone asked it to stop."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask it to stop; it does before its next step."""
        self._stop.set()


class Runs:
    """Every run there is, and the line of those for which the machine has no place yet."""

    def __init__(
        self, per_session: int, in_all: int, waiting: int = 0, told: Callable[[int], None] | None = None
    ) -> None:
        """How many runs a session may hold and the machine serves, and how many more may wait.

        Who waits is `told` the place in line, 1 for the next, by a call from its own thread.
        """
        self.per_session, self.in_all, self.waiting = per_session, in_all, waiting
        self._told = told
        self._turns = Turns()
        self._changed = threading.Condition()
        self._open: set[Run] = set()
        self._line: list[Run] = []

    @contextmanager
    def open(self, session: str, kind: str, *, newest: bool = False) -> Iterator[Run]:
        """A run for as long as the block lasts; it begins when the machine has a place, or when stopped.

        With `newest` it takes the place of the session's runs of the same kind: they stop and are
        `superseded`, which means that they must not draw any more.

        Raises:
            Refused: if the session holds too many, or too many wait.
            Superseded: if that happens while it waits.
        """
        run = Run(session, kind, self._turns)
        with self._changed:
            self._line_up(run, newest)
        try:
            self._wait(run)
            yield run
        finally:
            with self._changed:
                self._drop(run)

    def _line_up(self, run: Run, newest: bool) -> None:
        self._forget()
        same = [other for other in self._all() if (other.session, other.kind) == (run.session, run.kind)]
        places = [index for index, other in enumerate(self._line) if newest and other in same]
        for other in same if newest else []:
            other.superseded = True
            other.stop()
            self._drop(other)
        if sum(other.session == run.session for other in self._all()) >= self.per_session:
            raise Refused("common.too_many", number=self.per_session)
        if len(self._all()) >= self.in_all + self.waiting:
            raise Refused("common.crowded")
        self._line.insert(min(places, default=len(self._line)), run)

    def _wait(self, run: Run) -> None:
        reminder = time.monotonic()
        while True:
            with self._changed:
                if run.superseded:
                    raise Superseded
                self._forget()
                free = len(self._open) < self.in_all
                if run.stopped or (free and self._line[0] is run):
                    self._drop(run)
                    self._open.add(run)
                    run.touch()
                    return
                place = self._line.index(run) + 1
                if free or time.monotonic() < reminder:
                    self._changed.wait(_LOOK_AGAIN)
                    continue
            reminder = time.monotonic() + REMINDER
            if self._told:
                self._told(place)

    def _all(self) -> list[Run]:
        return [*self._open, *self._line]

    def _drop(self, run: Run) -> None:
        self._open.discard(run)
        self._line = [other for other in self._line if other is not run]
        self._changed.notify_all()

    def _forget(self) -> None:
        now = time.monotonic()
        self._open = {run for run in self._open if now - run.touched < _ABANDONED}

    def stop(self, session: str, kind: str | None = None) -> int:
        """Stop a session's runs, of one kind or all; returns how many there were."""
        with self._changed:
            mine = [r for r in self._all() if r.session == session and kind in (None, r.kind)]
            for run in mine:
                run.stop()
            self._changed.notify_all()
        return len(mine)
