"""Watching a training: the generator that draws a job as it changes, each part as often as it needs to."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from playground import jobs, locale
from playground.job import FINAL, JobView
from playground.tabs import common, train_charts, train_coach, train_panel
from playground.tabs.train_request import files
from playground.validation import InvalidInput

NUM_OUTPUTS = 6  # live panel, coach, small multiples, film, weights, card
_OfView = Callable[[JobView], Any]
_TICKETS = itertools.count()
_WATCHER: dict[str, int] = {}  # the newest watcher of a session; the older ones end


class Part:
    """One output: drawn again when its mark changes, but not more often than every so many seconds."""

    def __init__(self, seconds: float, mark: _OfView, draw: _OfView) -> None:
        """Never drawn; what a job that rests or is over has to show is never held back."""
        self.seconds, self.mark, self.draw = seconds, mark, draw
        self._seen: Any = None
        self._at = float("-inf")

    def update(self, view: JobView) -> Any:
        """What the page gets: nothing new, or the part as it is now."""
        mark, now = self.mark(view), time.monotonic()
        moving = view.state in ("running", "queued")
        if mark == self._seen or (moving and now - self._at < self.seconds):
            return gr.skip()
        self._seen, self._at = mark, now
        return self.draw(view)


def parts() -> list[Part]:
    """The live panel, which follows every update, and the heavier parts, which do not."""
    shot = train_panel.Shot()
    return [
        Part(
            0.0,
            lambda view: (view.version, view.state, view.position),
            lambda view: train_panel.live(view, shot.of(view.moments)),
        ),
        Part(2.0, lambda view: (view.version, view.state), train_coach.value),
        Part(1.0, lambda view: view.version, multiples),
        Part(
            3.0,
            lambda view: view.moments[-1][0] if view.moments else None,
            lambda view: train_panel.film(view.moments, locale.both("train.film")),
        ),
    ]


def multiples(view: JobView) -> str:
    """The small multiples of a job; those still without a point keep their places."""
    asked = view.request
    total = view.event.num_steps if view.event else asked.recipe.num_steps
    wanted = train_charts.expected(asked.spec, asked.dataset, view.switches)
    return train_charts.panels(view.losses, total, view.changes, view.diagnosis, wanted)


async def watch(job_id: Any, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
    """Draw a job as it changes until it is over: (live panel, coach, multiples, film, weights, card)."""
    session, nothing = common.session(request), (gr.skip(),) * NUM_OUTPUTS
    try:
        jobs.worker().attach(job_id, session)
    except InvalidInput:  # a page that was never used, or came back too late: it must not end a watcher
        yield nothing  # a generator that ends without a word would empty the panels
        return
    throttle, drawn, ticket = common.Throttle(), parts(), next(_TICKETS)
    _WATCHER[session] = ticket
    try:
        while _WATCHER.get(session) == ticket:
            view = jobs.worker().view(job_id)
            if throttle.due():
                updates = [part.update(view) for part in drawn]
                if any(update != gr.skip() for update in updates):
                    yield *updates, *downloads(view)
                if view.state in FINAL:
                    return
            await asyncio.sleep(throttle.seconds / 4)
        # gradio sends what came last once more as a generator ends: that would hide what the successor drew
        yield nothing
    except InvalidInput:  # it was forgotten meanwhile
        yield nothing
    finally:
        if _WATCHER.get(session) == ticket:
            del _WATCHER[session]


def downloads(view: JobView) -> tuple[Any, Any]:
    """The two files of a training that is over and made at least one update."""
    if view.state not in FINAL:
        off = gr.update(value=None, interactive=False)
        return (off, off) if view.event is None else (gr.skip(), gr.skip())
    if not view.usable:
        return gr.update(interactive=False), gr.update(interactive=False)
    weights, card = (gr.update(value=str(path), interactive=True) for path in files(view.id))
    return weights, card
