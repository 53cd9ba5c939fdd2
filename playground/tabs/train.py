"""Train: a model from nothing, before a class's eyes; or replayed from what the shipped training left.

The training lives in `playground.jobs`. The page only watches it (`playground.tabs.train_watch`), through an
asynchronous generator, which costs no thread while it waits. The job's id stays in the page's sessionStorage,
for a reloaded page to find.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gradio as gr
from gradio.context import Context

from playground import jobs, locale, registry, validation
from playground.job import FINAL
from playground.spec import ModelSpec
from playground.tabs import common, train_actions, train_charts, train_coach, train_form, train_panel
from playground.tabs.runs import Run
from playground.tabs.train_form import Form
from playground.tabs.train_request import MAX_API_STEPS, check, report, trainable
from playground.tabs.train_watch import watch

ORDER = 20
TITLE = "train.title"
_STAY_SECONDS = jobs.KEEP / 6
_REMEMBER = "(id) => { sessionStorage.setItem('playground-job', id || ''); }"
_RECALL = "() => [sessionStorage.getItem('playground-job') || '']"


def train(
    model: str,
    dataset: str = "mnist",
    seed: int = 0,
    num_steps: int = 100,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    switches: dict[str, Any] | None = None,
    request: gr.Request | None = None,
) -> Iterator[dict[str, Any]]:
    """Train a model from nothing for a few steps and stream what happens.

    The same client can then use the model as "mine:NAME", or as "mine:NAME@DATASET" where that is not the
    data set that /models says. Who stops listening stops the training.

    Args:
        model: name of a model, as /models lists it.
        dataset: "mnist" or "fashion_mnist" for models of digits; else the one that /models says.
        seed: of the first weights, the order of the pictures and all noise; 0 to 4294967295.
        num_steps: updates, 1 to 2000.
        learning_rate: 1e-6 to 1; here and below the model's own by default.
        batch_size: 1 to 1024.
        switches: training techniques by name, as /models lists them.
        request: filled in by the server.

    Returns:
        Several times a second: state (queued, running, paused, stopped, done or failed), position in line,
        step, num_steps, losses by name, switches, changes of them and notes on those that have no effect,
        class_entropy (bits), class_counts and distinct (0 to 1) of more samples where the classifier knows
        the data, images_per_second, seconds_left, samples (a PNG as a data URI, or null) and message.
    """
    num_steps = validation.integer(num_steps, "num_steps", 1, MAX_API_STEPS)
    asked = check(model, dataset, seed, num_steps, None, learning_rate, batch_size, switches=switches)
    owner = common.session(request)
    with common.RUNS.open(owner, "train") as run:
        yield from followed(jobs.worker().submit(owner, asked), run, common.language(request))


def followed(job_id: str, run: Run, code: str) -> Iterator[dict[str, Any]]:
    """Reports of a job until it is over; it is stopped when its run is, or when nobody listens any more."""
    worker, throttle = jobs.worker(), common.Throttle()
    try:
        while (view := worker.view(job_id)).state not in FINAL and not run.stopped:
            if throttle.due():
                yield report(view, code)
            time.sleep(throttle.seconds / 2)
        yield report(view, code)
    finally:
        worker.stop(job_id)


def stay(request: gr.Request) -> None:
    """The page is still open: what it has trained is not forgotten."""
    jobs.trained(common.session(request))


def handlers(form: Form) -> dict[str, Callable[..., Any]]:
    """The handlers that need the form, by name."""
    every = (*_acting(form), *_filling(form))
    return {function.__name__: function for function in every}


def _acting(form: Form) -> tuple[Callable[..., Any], ...]:
    """Those that take the values of the whole form."""

    @common.guarded
    def start(request: gr.Request, *values: Any) -> str:
        return train_actions.begin(*form.request(values), common.session(request))

    @common.guarded
    def one_step(request: gr.Request, job_id: Any, *values: Any) -> str:
        if train_actions.going(job_id):
            jobs.worker().step(job_id)
            return job_id
        return train_actions.begin(*form.request(values), common.session(request), single=True)

    @common.guarded
    def apply(request: gr.Request, job_id: Any, *values: Any) -> None:
        spec = trainable(values[0])
        train_actions.turn(job_id, spec.name, form.turned(spec, values), common.language(request))

    @common.guarded
    def players(request: gr.Request, job_id: Any, *values: Any) -> None:
        spec = trainable(values[0])
        if train_actions.going(job_id) and jobs.worker().view(job_id).request.spec == spec:
            jobs.worker().change(job_id, {"players": form.turned(spec, values).get("players")})

    return start, one_step, apply, players


def _filling(form: Form) -> tuple[Callable[..., Any], ...]:
    """Those that fill parts of it."""

    @common.guarded
    def choose(request: gr.Request, model: Any, job_id: Any) -> list[Any]:
        return train_actions.chosen(form, model, job_id)

    @common.guarded
    def recall(request: gr.Request, job_id: Any) -> list[Any]:
        return train_actions.recalled(form, job_id)

    @common.guarded
    def advise(request: gr.Request, event: gr.EventData, job_id: Any, model: Any) -> list[Any]:
        return train_actions.advised(form, job_id, model, getattr(event, "advice", None))

    return choose, recall, advise


def build() -> None:
    """The tab: form, buttons, live panel, coach, figures, film, files, replay."""
    first = registry.spec(registry.names("Samples")[0])
    form = train_form.build(first)
    with form.accordion:
        apply = gr.Button(common.word("train.apply"))
    buttons = _buttons()
    train_form.build_slow(form, first)
    shown = _panels(first)
    job = gr.Textbox(visible=False)
    _connect(form, buttons | {"apply": apply}, shown, job)
    common.api(train, "train")


def _buttons() -> dict[str, gr.Button]:
    with gr.Row():
        return {
            "start": gr.Button(
                common.word("train.start"), variant="primary", elem_classes=common.RUN, min_width=120
            ),
            "pause": gr.Button(common.word("train.pause"), min_width=120),
            "one_step": gr.Button(common.word("train.one_step"), min_width=120),
            "stop": gr.Button(
                common.word("train.stop"), variant="stop", elem_classes=common.STOP, min_width=120
            ),
        }


def _panels(first: ModelSpec) -> dict[str, Any]:
    """Everything that is drawn, top to bottom."""
    live = gr.HTML(
        train_panel.empty(), css_template=train_panel.STYLE, js_on_load=train_panel.LIVE_SCRIPT,
        elem_id="train-live",
    )  # fmt: skip
    coach = gr.HTML(
        "", html_template=train_coach.SKELETON, css_template=train_coach.STYLE, elem_id="train-coach",
        js_on_load=train_coach.SCRIPT,
    )  # fmt: skip
    figures = gr.HTML(
        train_charts.panels({}, 1, (), None, train_charts.expected(first, first.dataset)),
        css_template=train_panel.CHARTS_STYLE,
        elem_id="train-figures",
    )
    common.html(train_charts.save_buttons())
    film = _film("train-film")
    near = gr.Button(common.word("train.nearest"))
    gr.HTML(locale.both("train.nearest_hint"))
    pairs = gr.HTML("", css_template=train_panel.CHARTS_STYLE, elem_id="train-nearest")
    with gr.Row():
        files = [gr.DownloadButton(common.word(f"train.{k}"), interactive=False) for k in ("weights", "card")]
    gr.HTML(locale.both("train.replay_info"))
    show = gr.Button(common.word("train.replay"))
    return {
        "watched": [live, coach, figures, film, *files], "coach": coach, "figures": figures, "near": near,
        "live": live,
        "pairs": pairs, "show": show, "again": _film("train-replay"),
    }  # fmt: skip


def _connect(form: Form, buttons: Mapping[str, Any], shown: Mapping[str, Any], job: Any) -> None:
    own, model = handlers(form), form.fields["model"]
    seen = {"inputs": [job], "outputs": shown["watched"], "concurrency_limit": None, **common.PRIVATE}
    for name, function, inputs, outputs in (
        ("start", own["start"], form.inputs, [job]),
        ("one_step", own["one_step"], [job, *form.inputs], [job]),
        ("pause", train_actions.pause_or_resume, [job], None),
    ):
        clicked = buttons[name].click(function, inputs, outputs, **common.RAW)
        clicked.success(None, [job], None, js=_REMEMBER, **common.PRIVATE)
        clicked.success(watch, **seen)
    buttons["stop"].click(train_actions.stop, [job], None, queue=False, **common.PRIVATE)
    buttons["apply"].click(own["apply"], [job, *form.inputs], None, **common.LATEST)
    for knob in form.knobs:
        if knob.switch.key == "players":
            knob.component.input(own["players"], [job, *form.inputs], None, **common.LATEST)
    pace = form.fields["pace"]
    moved = [pace.input, pace.release]  # keys only input
    gr.on(moved, train_actions.slow_down, [job, pace], None, **common.LATEST)
    knobs = [knob.component for knob in form.knobs]
    shown["coach"].click(own["advise"], [job, model], knobs, concurrency_limit=None, **common.RAW)
    others = [buttons["start"].click, model.input]  # what is shown is of the training before
    gr.on(others, None, None, shown["pairs"], js="() => ''", queue=False, **common.PRIVATE)
    shown["near"].click(train_actions.neighbours, [job], shown["pairs"], **common.PRIVATE)
    shown["live"].click(train_actions.neighbours_of, [job], shown["pairs"], **common.PRIVATE)
    shown["show"].click(train_actions.replayed, [model], [shown["again"]], **common.PRIVATE)
    brought = [form.fields["dataset"], form.fields["batch_size"], *form.shown, shown["figures"]]
    model.input(own["choose"], [model, job], brought, **common.LATEST)
    back = Context.root_block.load(
        lambda job_id: job_id, [job], [job], js=_RECALL, queue=False, **common.PRIVATE
    )
    back.then(own["recall"], [job], [*form.fields.values(), *form.shown], queue=False, **common.RAW)
    back.then(watch, **seen)
    gr.Timer(_STAY_SECONDS).tick(stay, queue=False, **common.PRIVATE)


def _film(name: str) -> gr.HTML:
    return gr.HTML(
        "", html_template=train_panel.film_skeleton(), css_template=train_panel.FILM_STYLE,
        js_on_load=train_panel.FILM_SCRIPT, elem_id=name,
    )  # fmt: skip
