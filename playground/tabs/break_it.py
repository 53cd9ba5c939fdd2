"""Break it: training on purpose into each of the classic failures, predicted first, explained and repaired.

The training is one of `playground.jobs`, under a session of its own, so that a broken model is offered
nowhere and the Train tab stays free. It rests after the last update of every act and of every repair. The
watcher is the stage manager: it turns the switches of the next act and lets it begin, or gives the verdict.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.context import Context

from playground import breaking, jobs, validation
from playground.breaking import Experiment
from playground.job import FINAL, JobView
from playground.tabs import break_it_memory as memory
from playground.tabs import break_it_panel, common, train_panel
from playground.tabs.break_it_panel import Progress
from playground.tabs.train_request import report
from playground.validation import InvalidInput, Term

ORDER = 25
TITLE = "break_it.title"
_SEED = 0
_POLL = 1 / 24  # seconds between two looks at the training


def first() -> Progress:
    """The first experiment, untouched."""
    return Progress(next(iter(breaking.available())))


def owner(request: gr.Request | None) -> str:
    """The session under which experiments train."""
    return f"break_it {common.session(request)}"


def direct(view: JobView, progress: Progress) -> bool:
    """Begin the next act where one is over; whether the training rests because there is a verdict to give."""
    step = view.event.step if view.event else 0
    if view.state in FINAL or (view.state == "paused" and step >= progress.until):
        return True
    if view.state == "paused":  # between two acts, or because nobody watched for a while
        if not progress.fix:
            jobs.worker().change(view.id, progress.experiment.standing(step))
        jobs.worker().resume(view.id, progress.rest(step) - step)
    return False


def judged(view: JobView, progress: Progress) -> Progress:
    """The progress once a training rests: the symptom is measured, and a fix is entered as tried."""
    step = view.event.step if view.event else 0
    if step < progress.until and view.state != "failed":
        return progress
    value = progress.experiment.symptom.measure(view.losses, progress.begun)
    if not progress.fix:
        return replace(progress, before=value, seen=break_it_panel.advice(view, progress))
    return replace(progress, tried=(*progress.tried, (progress.fix, value)))


async def watch(progress: Progress, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
    """Draw the training until there is a verdict: (progress, live panel, figures, verdict)."""
    throttle, shot, drawn, figured = common.Throttle(), train_panel.Shot(), -1, float("-inf")
    try:
        while progress.job and not memory.left(progress):
            view = jobs.worker().view(progress.job)
            rests = direct(view, progress)
            if rests or (view.version != drawn and throttle.due()):
                drawn, curves, told = view.version, gr.skip(), gr.skip()
                if rests or time.monotonic() - figured > 1:
                    figured, curves = time.monotonic(), break_it_panel.figures(view, progress)
                shown = break_it_panel.shown(view, progress)
                after = judged(view, progress) if rests else progress
                if rests:
                    told = break_it_panel.verdict(view, memory.keep(after, True))
                state = after if rests else gr.skip()
                yield state, train_panel.live(shown, shot.of(view.moments)), curves, told
                if rests:
                    return
            await asyncio.sleep(_POLL)
    except InvalidInput:  # the job is gone: a page that slept too long
        pass
    yield (gr.skip(),) * 4  # a generator that ends without a word would empty the panels


def recalled(job: Any, request: gr.Request) -> tuple[Any, ...]:
    """What a page that comes back shows: (progress, board, live panel, figures, verdict)."""
    found = memory.recall(job, owner(request))
    if found is None:
        return (gr.skip(),) * 5
    progress, view = found
    if not memory.judged(progress):  # the watcher draws the rest
        return progress, break_it_panel.board(progress), gr.skip(), gr.skip(), gr.skip()
    live = train_panel.live(break_it_panel.shown(view, progress), train_panel.shot(view.moments))
    figures = break_it_panel.figures(view, progress)
    return progress, break_it_panel.board(progress), live, figures, break_it_panel.verdict(view, progress)


async def watch_again(progress: Progress, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
    """Go on watching what a page came back to, unless all is said already."""
    if memory.judged(progress):
        yield (gr.skip(),) * 4
        return
    async for seen in watch(progress, request):
        yield seen


@common.guarded
def pressed(progress: Progress, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
    """A choice on the board: (progress, board, live panel, figures, verdict)."""
    act, key = getattr(event, "act", None), getattr(event, "key", None)
    experiments = breaking.available()
    if act == "choose":
        chosen = experiments[validation.choice(key, Term("break_it.name.experiment"), experiments)]
        if progress.job:
            memory.leave(progress)
            _end(progress.job)
        progress = Progress(chosen.key)
        return progress, break_it_panel.board(progress), *break_it_panel.empty(progress)
    guess = validation.choice(key, Term("break_it.name.prediction"), progress.experiment.outcomes)
    if not progress.job:
        progress = replace(progress, guess=guess)
    return progress, break_it_panel.board(progress), gr.skip(), gr.skip(), gr.skip()


@common.guarded
def run(progress: Progress, request: gr.Request) -> tuple[Any, ...]:
    """Begin the training, from the start if there has been one: (progress, board, live, figures, verdict)."""
    if not progress.guess:
        raise InvalidInput("break_it.predict_first")
    if progress.job:
        _end(progress.job)
    asked = progress.experiment.request(_SEED)
    job = jobs.worker().submit(owner(request), asked, updates=progress.experiment.rest(0))
    progress = memory.keep(Progress(progress.key, progress.guess, job), False)
    return progress, break_it_panel.board(progress), *break_it_panel.empty(progress)


@common.guarded
def repair(progress: Progress, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
    """Turn what a fix turns and go on: (progress, verdict)."""
    key = getattr(event, "key", None)
    experiment = progress.experiment
    key = validation.choice(key, Term("break_it.name.fix"), experiment.fixes)
    view = jobs.worker().view(progress.job)
    if progress.before is None or view.state != "paused" or view.event is None:
        raise InvalidInput("break_it.wait")
    jobs.worker().change(progress.job, experiment.fix(key))
    jobs.worker().resume(progress.job, experiment.fix_steps)
    progress = memory.keep(replace(progress, fix=key, since=view.event.step), False)
    return progress, break_it_panel.verdict(jobs.worker().view(progress.job), progress)


@common.guarded
def stop(progress: Progress, request: gr.Request) -> None:
    """End the training after the update under way; without one there is nothing to do."""
    if progress.job:
        _end(progress.job)


def _end(job: str) -> None:
    try:
        jobs.worker().stop(job)
    except InvalidInput:
        return


def break_it(
    experiment: str,
    fix: str = "",
    seed: int = 0,
    share: float = 1.0,
    request: gr.Request | None = None,
) -> Iterator[dict[str, Any]]:
    """Run an experiment that goes wrong on purpose, then a repair, and stream what happens.

    Who stops listening stops the training.

    Args:
        experiment: "vanishing", "collapse", "oscillation", "runaway" or "posterior".
        fix: key of the repair to try afterwards, as "fixes" of the reports lists them; empty for none.
        seed: of the training, 0 to 4294967295.
        share: of the usual number of updates, 0.01 to 1; less may not be enough to break it.
        request: filled in by the server.

    Returns:
        Several times a second what /train reports, and: act (breaking or repairing), outcomes, fixes, symptom
        (curve and what a healthy value is), before (its value at the end of the breaking, or null), outcome
        (what happened), after (its value after the repair, or null) and fixed (true, false or null).
    """
    experiments = breaking.available()
    chosen = experiments[validation.choice(experiment, Term("break_it.name.experiment"), experiments)]
    if fix != "":
        fix = validation.choice(fix, Term("break_it.name.fix"), chosen.fixes)
    short = chosen.shorter(validation.number(share, Term("break_it.name.share"), 0.01, 1.0))
    asked = short.request(validation.seed(seed))
    job = jobs.worker().submit(owner(request), asked, updates=short.rest(0))
    progress = Progress(short.key, job=job, shorter=short)
    yield from _reports(progress, fix, common.session(request), common.language(request))


def _reports(progress: Progress, fix: str, session: str, code: str) -> Iterator[dict[str, Any]]:
    """Drive an experiment and its repair to the end; the training ends with whoever listens."""
    worker, throttle, experiment = jobs.worker(), common.Throttle(), progress.experiment
    try:
        with common.RUNS.open(session, "break_it") as held:
            while not held.stopped:
                view = worker.view(progress.job)
                rests = direct(view, progress)
                if rests:
                    progress = judged(view, progress)
                if rests or throttle.due():
                    yield report(view, code) | told(experiment, progress)
                if rests and (progress.fix or not fix or view.state in FINAL):
                    return
                if rests and view.event is not None:
                    worker.change(progress.job, experiment.fix(fix))
                    worker.resume(progress.job, experiment.fix_steps)
                    progress = replace(progress, fix=fix, since=view.event.step)
                time.sleep(_POLL)
    finally:
        worker.stop(progress.job)


def told(experiment: Experiment, progress: Progress) -> dict[str, Any]:
    """What the endpoint says of an experiment beside the training."""
    before, after = progress.before, progress.tried[-1][1] if progress.tried else None
    return {
        "act": "repairing" if progress.fix else "breaking",
        "outcomes": list(experiment.outcomes),
        "fixes": {key: dict(changes) for key, changes in experiment.fixes.items()},
        "symptom": {"curve": experiment.symptom.curve, "healthy": experiment.symptom.limit()},
        "before": before,
        "outcome": None if before is None else experiment.outcome(before),
        "after": after,
        "fixed": None if after is None else experiment.symptom.healthy(after),
    }


def build() -> None:
    """The tab: choice and prediction, buttons, live panel, figures, verdict and repairs."""
    progress = first()
    style: dict[str, Any] = {
        "css_template": break_it_panel.STYLE, "js_on_load": break_it_panel.SCRIPT, "apply_default_css": False
    }  # fmt: skip
    state = gr.State(progress)
    board = gr.HTML(break_it_panel.board(progress), elem_id="break-board", **style)
    with gr.Row():
        go = gr.Button(common.word("break_it.run"), variant="primary", elem_classes=common.RUN, min_width=120)
        end = gr.Button(common.word("common.stop"), variant="stop", elem_classes=common.STOP, min_width=120)
    live = gr.HTML(train_panel.empty(), css_template=train_panel.STYLE, elem_id="break-live")
    figures = gr.HTML(
        break_it_panel.figures(None, progress),
        css_template=train_panel.CHARTS_STYLE,
        elem_id="break-figures",
    )
    verdict = gr.HTML("", elem_id="break-verdict", **style)
    seen = {"inputs": [state], "outputs": [state, live, figures, verdict], "concurrency_limit": None}
    every = [state, board, live, figures, verdict]
    board.click(pressed, [state], every, concurrency_limit=None, **common.PRIVATE)
    begun = go.click(run, [state], every, **common.PRIVATE)
    begun.success(watch, **seen, **common.PRIVATE)
    job = gr.Textbox(visible=False)
    begun.success(lambda progress: progress.job, [state], [job], queue=False, **common.PRIVATE).success(
        None, [job], None, js=memory.REMEMBER, **common.PRIVATE
    )
    mended = verdict.click(repair, [state], [state, verdict], concurrency_limit=None, **common.PRIVATE)
    mended.success(watch, **seen, **common.PRIVATE)
    end.click(stop, [state], None, queue=False, **common.PRIVATE)
    back = Context.root_block.load(recalled, [job], every, js=memory.RECALL, queue=False, **common.PRIVATE)
    back.then(watch_again, **seen, **common.PRIVATE)
    common.api(break_it, "break_it")
