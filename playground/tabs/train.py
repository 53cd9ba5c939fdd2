"""Train: a model from nothing, before a class's eyes; or replayed from what the shipped training left.

The training lives in `playground.jobs`. The page only watches it, through an asynchronous generator, which
costs no thread while it waits. The job's id stays in the page's sessionStorage, for a reloaded page to find.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import gradio as gr
from gradio.context import Context

from playground import jobs, locale, registry, replay, validation
from playground.job import FINAL, JobView
from playground.tabs import common, train_panel
from playground.tabs.train_request import MAX_API_STEPS, check, data_title, datasets, files, report
from playground.validation import InvalidInput

ORDER = 20
TITLE = "train.title"
_STAY_SECONDS = jobs.KEEP / 6
_FILM_SECONDS = 3.0  # between two films while a training runs
_REMEMBER = "(id) => { sessionStorage.setItem('playground-job', id || ''); }"
_RECALL = "() => [sessionStorage.getItem('playground-job') || '']"
_TICKETS = itertools.count()
_WATCHER: dict[str, int] = {}  # the newest watcher of a session; the older ones end


@common.guarded
def start(
    model: Any,
    dataset: Any,
    seed: Any,
    num_steps: Any,
    minutes: Any,
    lr: Any,
    batch_size: Any,
    request: gr.Request,
) -> str:
    """Begin a training; returns the job's id."""
    asked = check(model, dataset, seed, num_steps, minutes, lr, batch_size)
    return jobs.worker().submit(common.session(request), asked)


@common.guarded
def one_step(
    job_id: Any, model: Any, dataset: Any, seed: Any, num_steps: Any, minutes: Any, lr: Any, batch_size: Any,
    request: gr.Request,
) -> str:  # fmt: skip
    """One update of the training that is not over, or the first one of a new training."""
    try:
        over = jobs.worker().view(job_id).state in FINAL
    except InvalidInput:
        over = True
    if not over:
        jobs.worker().step(job_id)
        return job_id
    asked = check(model, dataset, seed, num_steps, minutes, lr, batch_size)
    return jobs.worker().submit(common.session(request), asked, single=True)


@common.guarded
def pause_or_resume(job_id: Any, request: gr.Request) -> None:
    """Pause what runs or waits, resume what is paused."""
    if jobs.worker().view(job_id).state == "paused":
        jobs.worker().resume(job_id)
    else:
        jobs.worker().pause(job_id)


@common.guarded
def stop(job_id: Any, request: gr.Request) -> None:
    """End the training after the update under way; without one there is nothing to do."""
    try:
        jobs.worker().stop(job_id)
    except InvalidInput:
        return


async def watch(job_id: Any, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
    """Draw a job as it changes until it is over: (live panel, film, weights, card)."""
    session, ticket = common.session(request), next(_TICKETS)
    _WATCHER[session] = ticket
    throttle, seen, image, filmed = common.Throttle(), None, (-1, ""), (-1, 0.0)
    try:
        while _WATCHER.get(session) == ticket:
            view = jobs.worker().attach(job_id, session) if seen is None else jobs.worker().view(job_id)
            mark = (view.version, view.state, view.position)
            if mark != seen and throttle.due():
                seen, latest = mark, view.moments[-1][0] if view.moments else -1
                if image[0] != latest:
                    image = (latest, train_panel.shot(view.moments))
                film, now = gr.skip(), time.monotonic()
                if latest != filmed[0] and (
                    now - filmed[1] > _FILM_SECONDS or view.state not in ("running", "queued")
                ):
                    film, filmed = train_panel.film(view.moments, locale.both("train.film")), (latest, now)
                yield train_panel.live(view, image[1]), film, *downloads(view)
                if view.state in FINAL:
                    return
            await asyncio.sleep(throttle.seconds / 4)
    except InvalidInput:  # nothing of that id: a page that was never used, or one that came back too late
        yield (gr.skip(),) * 4  # a generator that ends without a word would empty the panels
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
    return tuple(gr.update(value=str(path), interactive=True) for path in files(view.id))  # type: ignore[return-value]


def train(
    model: str,
    dataset: str = "mnist",
    seed: int = 0,
    num_steps: int = 100,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    request: gr.Request | None = None,
) -> Iterator[dict[str, Any]]:
    """Train a model from nothing for a few steps and stream what happens.

    The same client can then use the model as "mine:NAME" elsewhere. Who stops listening stops the training.

    Args:
        model: name of a model, as /models lists it.
        dataset: "mnist" or "fashion_mnist".
        seed: of the first weights, the order of the pictures and all noise; 0 to 4294967295.
        num_steps: updates, 1 to 2000.
        learning_rate: 1e-6 to 1; by default the model's own.
        batch_size: 1 to 1024; by default the model's own.

        request: filled in by the server.

    Returns:
        Several times a second: state (queued, running, paused, stopped, done or failed), position in line,
        step, num_steps, losses by name, images_per_second, seconds_left, samples (a PNG as a data URI, or
        null) and message.
    """
    asked = check(model, dataset, seed, num_steps, None, learning_rate, batch_size, MAX_API_STEPS)
    owner, worker, throttle = common.session(request), jobs.worker(), common.Throttle()
    with common.RUNS.open(owner, "train") as run:
        job_id = worker.submit(owner, asked)
        try:
            while (view := worker.view(job_id)).state not in FINAL and not run.stopped:
                if throttle.due():
                    yield report(view, common.language(request))
                time.sleep(throttle.seconds / 2)
            yield report(view, common.language(request))
        finally:
            worker.stop(job_id)


@common.guarded
def replayed(model: Any, request: gr.Request) -> str:
    """The film of how a model's shipped weights were trained."""
    spec = validation.model(model, "Samples")
    recorded = replay.read(spec.name)
    card, frames = registry.card(spec.name), recorded["frames"]
    about = locale.both(
        "train.replayed", model=spec.title, steps=f"{card['num_steps']:,}", minutes=card["training_minutes"],
        device=card["device"],
    )  # fmt: skip
    last = max(curve[-1][0] for curve in recorded["losses"].values())
    return train_panel.film(frames, about, train_panel.curves(recorded["losses"], last), play=True)


def stay(request: gr.Request) -> None:
    """The page is still open: what it has trained is not forgotten."""
    jobs.trained(common.session(request))


def chosen(model: Any) -> tuple[Any, ...]:
    """What a model brings along: its data sets, learning rate and batch size."""
    try:
        spec = validation.model(model, "Samples")
    except InvalidInput:
        return gr.skip(), gr.skip(), gr.skip()
    names = [(data_title(name), name) for name in datasets(spec)]
    return gr.update(choices=names, value=spec.dataset), spec.recipe.lr, spec.recipe.batch_size


def build() -> None:
    """The tab: form, buttons, live panel, film, files, replay."""
    form = _form()
    with gr.Row():
        go = gr.Button(common.word("train.start"), variant="primary", elem_classes=common.RUN, min_width=120)
        hold = gr.Button(common.word("train.pause"), min_width=120)
        single = gr.Button(common.word("train.one_step"), min_width=120)
        end = gr.Button(common.word("train.stop"), variant="stop", elem_classes=common.STOP, min_width=120)
    live = gr.HTML(train_panel.empty(), css_template=train_panel.STYLE, elem_id="train-live")
    film = _film("train-film")
    with gr.Row():
        files_ = [
            gr.DownloadButton(common.word(f"train.{k}"), interactive=False) for k in ("weights", "card")
        ]
    gr.HTML(locale.both("train.replay_info"))
    show = gr.Button(common.word("train.replay"))
    again = _film("train-replay")
    job = gr.Textbox(visible=False)
    seen = {"inputs": [job], "outputs": [live, film, *files_], **common.PRIVATE}
    for button, function, inputs, outputs in (
        (go, start, form, [job]),
        (single, one_step, [job, *form], [job]),
        (hold, pause_or_resume, [job], None),
    ):
        clicked = button.click(function, inputs, outputs, **common.PRIVATE)
        clicked.success(None, [job], None, js=_REMEMBER, **common.PRIVATE)
        clicked.success(watch, concurrency_limit=None, **seen)
    end.click(stop, [job], None, queue=False, **common.PRIVATE)
    show.click(replayed, [form[0]], [again], **common.PRIVATE)
    form[0].change(chosen, [form[0]], [form[1], form[5], form[6]], queue=False, **common.PRIVATE)
    recalled = Context.root_block.load(
        lambda job_id: job_id, [job], [job], js=_RECALL, queue=False, **common.PRIVATE
    )
    recalled.then(watch, concurrency_limit=None, **seen)
    gr.Timer(_STAY_SECONDS).tick(stay, queue=False, **common.PRIVATE)
    common.api(train, "train")


def _form() -> list[Any]:
    """Model, data set, seed, steps, minutes, learning rate, batch size."""
    names = registry.names("Samples")
    first = registry.spec(names[0])
    with gr.Row():
        model = gr.Dropdown(
            [(registry.spec(n).title, n) for n in names],
            value=names[0],
            label=common.word("common.model"),
            min_width=150,
        )
        sets = [(data_title(name), name) for name in datasets(first)]
        dataset = gr.Dropdown(sets, value=first.dataset, label=common.word("train.dataset"), min_width=150)
        seed = gr.Number(0, label=common.word("common.seed"), min_width=130)
    with gr.Row():
        steps = gr.Number(500, label=common.word("train.steps"), min_width=130)
        minutes = gr.Number(0, label=common.word("train.minutes"), min_width=130)
        lr = gr.Number(first.recipe.lr, label=common.word("train.lr"), min_width=130)
        batch = gr.Number(first.recipe.batch_size, label=common.word("train.batch_size"), min_width=130)
    return [model, dataset, seed, steps, minutes, lr, batch]


def _film(name: str) -> gr.HTML:
    return gr.HTML(
        "", html_template=train_panel.film_skeleton(), css_template=train_panel.FILM_STYLE,
        js_on_load=train_panel.FILM_SCRIPT, elem_id=name,
    )  # fmt: skip
