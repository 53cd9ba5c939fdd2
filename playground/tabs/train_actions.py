"""What the buttons of the Train tab do: begin, pause, turn switches, take advice, compare, replay."""

import math
from collections.abc import Mapping
from typing import Any

import gradio as gr
from torch import Tensor

from playground import data, diagnosis, jobs, locale, registry, replay, validation
from playground.job import FINAL, Request
from playground.tabs import common, train_charts, train_coach, train_form, train_panel
from playground.tabs.train_form import Form
from playground.tabs.train_request import data_title, datasets, trainable, turned
from playground.validation import InvalidInput, Term

NUM_CLOSEST = 8  # training pictures shown beside one sample


def begin(asked: Request, pace: float, session: str, *, single: bool = False) -> str:
    """Begin a training; returns the job's id."""
    job_id = jobs.worker().submit(session, asked, updates=1 if single else math.inf)
    if pace:
        jobs.worker().pace(job_id, pace)
    return job_id


def going(job_id: Any) -> bool:
    """Whether there is such a job and it is not over."""
    try:
        return jobs.worker().view(job_id).state not in FINAL
    except InvalidInput:
        return False


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


@common.guarded
def slow_down(job_id: Any, pace: Any, request: gr.Request) -> None:
    """Slow motion for the training that is not over; without one the next start has it."""
    if going(job_id):
        jobs.worker().pace(job_id, pace)


def turn(job_id: Any, model: Any, values: Mapping[str, Any], code: str) -> None:
    """Turn the switches of the training under way that differ from what the form says, and say what waits.

    Raises:
        InvalidInput: if there is none, or it trains another model.
    """
    view = jobs.worker().view(job_id)
    spec = view.request.spec
    if model != spec.name:
        raise InvalidInput("train.other_model", model=spec.title)
    live = train_form.live_keys(spec)
    differ = {key: value for key, value in values.items() if view.switches[key] != value}
    jobs.worker().change(job_id, {key: value for key, value in differ.items() if key in live})
    later = turned({key: value for key, value in differ.items() if key not in live}, spec)
    if later.en:
        common.inform(locale.text("train.later", code, switches=later), code)
    elif not differ:
        common.inform(locale.text("train.no_change", code), code)


@common.guarded
def neighbours(job_id: Any, request: gr.Request) -> str:
    """The training pictures closest to the samples shown."""
    model, step, x, images = _shown(job_id)
    with common.RUNS.open(common.session(request), "neighbours") as run, run.turn():
        rows, distances = diagnosis.nearest(x, images)
    return train_panel.nearest(x, images[rows], distances, model, step)


@common.guarded
def neighbours_of(job_id: Any, event: gr.EventData, request: gr.Request) -> str:
    """The training pictures closest to the sample that was clicked."""
    model, step, x, images = _shown(job_id)
    place = validation.integer(getattr(event, "sample", None), Term("train.sample"), 0, len(x) - 1)
    with common.RUNS.open(common.session(request), "neighbours") as run, run.turn():
        rows, distances = diagnosis.closest(x[place], images, NUM_CLOSEST)
    return train_panel.closest(x[place], images[rows], distances, model, step)


def _shown(job_id: Any) -> tuple[str, int, Tensor, Tensor]:
    """A model's title, the step of its latest samples, they (B, C, H, W) uint8, and the training pictures."""
    view = jobs.worker().view(job_id)
    if not view.moments:
        raise InvalidInput("train.no_samples")
    images = data.load(view.request.dataset, "train").images
    step, x = view.moments[-1]
    if x.shape[1:] != images.shape[1:]:  # of pairs: a translation is shown beside the true picture
        raise InvalidInput("train.no_neighbours")
    return view.request.spec.title, step, x, images


@common.guarded
def replayed(model: Any, request: gr.Request) -> str:
    """The film of how a model's shipped weights were trained."""
    spec = trainable(model)
    recorded = replay.read(spec.name)
    card, frames = registry.card(spec.name), recorded["frames"]
    about = locale.both(
        "train.replayed", model=spec.title, steps=f"{card['num_steps']:,}", minutes=card["training_minutes"],
        device=card["device"],
    )  # fmt: skip
    last = max(curve[-1][0] for curve in recorded["losses"].values())
    return train_panel.film(frames, about, train_charts.main_chart(recorded["losses"], last), play=True)


def chosen(form: Form, model: Any, job_id: Any) -> list[Any]:
    """What a model brings along: data sets, batch size, switches, and the figures its training will have."""
    try:
        spec = trainable(model)
    except InvalidInput:
        return [gr.skip()] * (3 + len(form.shown))
    names = [(data_title(name), name) for name in datasets(spec)]
    figures = gr.skip()
    if not going(job_id):
        figures = train_charts.panels({}, 1, (), None, train_charts.expected(spec, spec.dataset))
    sets = gr.update(choices=names, value=spec.dataset)
    return [sets, spec.recipe.batch_size, *form.chosen(spec), figures]


def recalled(form: Form, job_id: Any) -> list[Any]:
    """The form as the training that a page comes back to was asked for and now stands."""
    try:
        view = jobs.worker().view(job_id)
    except InvalidInput:
        return [gr.skip()] * (len(form.fields) + len(form.shown))
    return form.filled(view.request, view.switches, view.pace)


def advised(form: Form, job_id: Any, model: Any, key: Any) -> list[Any]:
    """Do what an advice suggests: turn what may be turned now, and set the form for the next start."""
    view = jobs.worker().view(job_id)
    given = {advice.key: advice for advice in train_coach.advices(view)}
    if not isinstance(key, str) or key not in given:
        raise InvalidInput("train.advice_gone")
    spec, changes = view.request.spec, given[key].changes
    live = train_form.live_keys(spec)
    if view.state not in FINAL:
        jobs.worker().change(job_id, {k: v for k, v in changes.items() if k in live})
    return form.put(spec, changes) if model == spec.name else [gr.skip()] * len(form.knobs)
