"""Who may run, who waits for a place, whose turn it is and who is stopped."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import gradio as gr
import pytest

from playground.tabs import common, pieces
from playground.tabs import runs as places
from playground.tabs.runs import Refused, Runs, Superseded


def test_another_session_cannot_stop_mine():
    runs = Runs(per_session=2, in_all=4)
    with runs.open("me", "sample") as run:
        assert runs.stop("you") == 0 and runs.stop("me", "compare") == 0 and not run.stopped
        assert runs.stop("me", "sample") == 1 and run.stopped


def test_a_session_holds_a_few_runs_and_the_machine_a_limited_number():
    runs = Runs(per_session=2, in_all=3)
    with runs.open("me", "a"), runs.open("me", "a"):
        with pytest.raises(Refused, match="already have 2"), runs.open("me", "a"):
            pass
        with runs.open("you", "a"), pytest.raises(Refused, match="as many runs"), runs.open("they", "a"):
            pass
    with runs.open("me", "a"):
        pass


def test_the_newest_run_takes_the_place_of_the_one_before():
    runs = Runs(per_session=1, in_all=1)
    with runs.open("me", "a", newest=True) as old:
        with runs.open("me", "a", newest=True) as new:
            assert old.stopped and old.superseded and not new.stopped
        with pytest.raises(Refused), runs.open("me", "a", newest=True), runs.open("me", "b", newest=True):
            pass


def test_abandoned_runs_make_room():
    runs = Runs(per_session=1, in_all=1)
    abandoned = runs.open("gone", "a")
    run = abandoned.__enter__()
    run.touched -= 1000
    with runs.open("me", "a"):
        pass


def test_sessions_take_turns_step_by_step():
    runs, order = Runs(per_session=8, in_all=16), []

    def work(session):
        with runs.open(session, "a") as run:
            for _ in range(10):
                with run.turn():
                    time.sleep(0.002)
                    order.append(session)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    both = order[2:-2]  # while both are there
    changes = sum(x != y for x, y in zip(both, both[1:], strict=False))
    assert len(order) == 20 and changes >= len(both) - 3


def test_a_run_that_fails_gives_its_place_and_its_turn_back():
    runs = Runs(per_session=1, in_all=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), runs.open("me", "a") as run, run.turn():
            raise ZeroDivisionError


class Crowd:
    """A machine with one place, taken by `first`, and others in line, each in a thread of its own."""

    def __init__(self, per_session=1, waiting=8):
        """Nobody waits yet."""
        self.told, self.served = [], []
        self.runs = Runs(per_session=per_session, in_all=1, waiting=waiting, told=self.told.append)
        self._pool, self._stack = ThreadPoolExecutor(8), ExitStack()
        self._stack.enter_context(self.runs.open("first", "a"))

    def ask(self, session, kind="a", **options):
        """Line up; a future of whether the run was stopped by the time it had its place."""
        told = len(self.told)
        answer = self._pool.submit(self._hold, session, kind, options)
        until(lambda: len(self.told) > told or answer.done())
        return answer

    def _hold(self, session, kind, options):
        with self.runs.open(session, kind, **options) as run:
            self.served.append(session)
            return run.stopped

    def go(self):
        """The first one ends."""
        self._stack.close()


def until(true):
    """Wait for what must happen soon."""
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_who_finds_no_place_waits_in_line_and_is_told_where():
    crowd = Crowd()
    answers = [crowd.ask(name) for name in "xyz"]
    assert crowd.told == [1, 2, 3] and not crowd.served
    crowd.go()
    assert [a.result(10) for a in answers] == [False] * 3 and crowd.served == ["x", "y", "z"]


def test_a_line_ends_somewhere_and_counts_for_its_session():
    crowd = Crowd(waiting=2)
    crowd.ask("x"), crowd.ask("y")
    with pytest.raises(Refused, match="already have 1"), crowd.runs.open("x", "b"):
        pass
    with pytest.raises(Refused, match="as many runs"), crowd.runs.open("z", "a"):
        pass
    crowd.go()


def test_who_waits_can_be_stopped_and_is_reminded(monkeypatch):
    monkeypatch.setattr(places, "REMINDER", 0.05)
    monkeypatch.setattr(places, "_LOOK_AGAIN", 0.01)
    crowd = Crowd()
    answer = crowd.ask("x")
    until(lambda: len(crowd.told) > 2)
    assert crowd.runs.stop("x", "b") == 0 and crowd.runs.stop("x") == 1
    assert answer.result(10) is True and set(crowd.told) == {1}
    crowd.go()


def test_a_newer_run_keeps_the_place_in_line_and_the_older_draws_nothing():
    crowd = Crowd()
    old, other = crowd.ask("x", newest=True), crowd.ask("y")
    new = crowd.ask("x", newest=True)
    with pytest.raises(Superseded):
        old.result(10)
    assert crowd.told == [1, 2, 1]
    crowd.go()
    assert not new.result(10) and not other.result(10) and crowd.served == ["x", "y"]


def test_an_abandoned_run_makes_room_for_who_waits(monkeypatch):
    monkeypatch.setattr(places, "_LOOK_AGAIN", 0.01)
    crowd = Crowd()
    answer = crowd.ask("x")
    monkeypatch.setattr(places, "_ABANDONED", 0.0)
    assert answer.result(10) is False
    crowd.go()


def test_who_holds_a_turn_or_says_so_is_not_abandoned(monkeypatch):
    runs = Runs(per_session=1, in_all=1)
    monkeypatch.setattr(places, "_ABANDONED", 0.05)
    with runs.open("me", "a") as run:
        with run.turn():
            time.sleep(0.06)
            with pytest.raises(Refused), runs.open("you", "a"):
                pass
        time.sleep(0.06)
        run.touch()
        with pytest.raises(Refused), runs.open("you", "a"):
            pass


def test_a_handler_that_was_superseded_in_line_leaves_the_page_as_it_is():
    @pieces.settled
    def stream():
        yield "busy"
        raise Superseded

    def call():
        raise Superseded

    assert list(common.guarded(stream)()) == ["busy"] and common.guarded(call)() == gr.skip()


def test_the_page_is_told_its_place_in_its_language(monkeypatch):
    said = []
    monkeypatch.setattr(gr, "Info", lambda sentence, **_: said.append(sentence))
    common.in_line(7)
    assert "number 7 in line" in said[0]
