"""Anomaly: what likelihoods make of pictures that are no digits, a few pictures at a time."""

import html
from collections.abc import Iterator
from typing import Any

import gradio as gr

from playground import anomaly, data, judge, registry, scoring, validation, weights
from playground.anomaly import CLOTHES, SETS, Scorer
from playground.locale import both
from playground.spec import ModelSpec
from playground.tabs import anomaly_panel as panel
from playground.tabs import common
from playground.tabs.anomaly_panel import Board, Row
from playground.tabs.runs import Run
from playground.validation import InvalidInput, Term

SECTION = 40
SECTION_TITLE = "anomaly.title"
KIND = "anomaly"
MAX_MODELS = 12
MIN_NUM, MAX_NUM, USUAL_NUM = 10, 1000, 200
_PER_SECOND = 2.0


def build() -> None:
    """Lay the section out and connect it."""
    names = default_names()
    common.html(f'<p class="pg-intro">{both("anomaly.intro")} {both("common.keys")}</p>')
    with gr.Row(elem_classes="pg-controls", equal_height=True):
        chosen = gr.Dropdown(
            offered(""), value=names, multiselect=True, max_choices=MAX_MODELS,
            label=common.word("common.models"), scale=3, min_width=280,
        )  # fmt: skip
        count = gr.Slider(
            MIN_NUM, MAX_NUM, USUAL_NUM, step=10, label=common.word("anomaly.num"), min_width=220,
            info=common.word("anomaly.num_info"),
        )  # fmt: skip
        with gr.Column(min_width=140, scale=0, elem_classes="pg-buttons"):
            go = gr.Button(common.word("anomaly.run"), variant="primary", elem_classes=common.RUN)
            halt = gr.Button(common.word("common.stop"), elem_classes=common.STOP)
    first = Board([Row(registry.spec(name).title, registry.spec(name)) for name in names], USUAL_NUM)
    shown = gr.HTML(
        panel.board(first), css_template=panel.STYLE, apply_default_css=False, elem_id="pg-anomaly-board"
    )
    go.click(run_anomaly, [chosen, count], shown, concurrency_limit=None, trigger_mode="multiple",
             **common.RAW)  # fmt: skip
    halt.click(stop, queue=False, **common.PRIVATE)
    common.on_show(refresh, None, chosen)


def offered(owner: str) -> list[tuple[str, str]]:
    """(title, name) of the models of digits that have a likelihood."""
    kept = common.offered("HasLikelihood", owner)
    return [(title, name) for title, name in kept if is_digits(common.look_up(name, "HasLikelihood"))]


def is_digits(spec: ModelSpec) -> bool:
    """Whether a model is of digits."""
    return spec.dataset == judge.spec().dataset


def default_names() -> list[str]:
    """The first model with weights of every family and kind of number; one model if none has weights."""
    found: dict[tuple[str, str], str] = {}
    for _, name in offered(""):
        spec = registry.spec(name)
        if registry.shipped(name):
            found.setdefault((spec.family, scoring.group(spec)), name)
    return list(found.values())[:MAX_MODELS] or [offered("")[0][1]]


def refresh(request: gr.Request) -> Any:
    """What can be chosen now, models trained in this page included."""
    return gr.update(choices=offered(common.session(request)))


@common.guarded
def stop(request: gr.Request) -> None:
    """End this session's work before its next step."""
    common.RUNS.stop(common.session(request), KIND)


@common.guarded
def run_anomaly(names: Any, num: Any, request: gr.Request) -> Iterator[Any]:
    """The board as the page sees it, twice a second while numbers come in."""
    asked = common.look_up_all(names, "HasLikelihood", 1, MAX_MODELS)
    for _, spec in asked:
        if not is_digits(spec):
            raise InvalidInput("likelihood.not_digits", model=spec.title)
    num = validation.integer(num, Term("anomaly.num"), MIN_NUM, MAX_NUM)
    titles = [f"★ {spec.title}" if name.startswith(common.MINE) else spec.title for name, spec in asked]
    shown = Board([Row(title, spec) for title, (_, spec) in zip(titles, asked, strict=True)], num, "running")
    session, throttle = common.session(request), common.Throttle(_PER_SECOND)
    with common.RUNS.open(session, KIND, newest=True) as run:
        yield panel.board(shown)
        shown.missing = not clothed()
        line_up([name for name, _ in asked], shown, run, session)
        yield panel.board(shown)
        scorers = [row.scorer for row in shown.rows if row.scorer is not None]
        while not run.stopped and (scorer := anomaly.next_up(scorers)):
            with run.turn():
                scorer.advance()
            if throttle.due():
                yield panel.board(shown)
        if run.superseded:
            yield gr.skip()  # gradio sends what came last once more when a generator ends
            return
        shown.state = "stopped" if run.stopped else "done"
        yield panel.board(shown)


def clothed() -> bool:
    """Whether Fashion-MNIST is on this machine or can be fetched."""
    try:
        data.load(CLOTHES, "test")
    except data.DataUnavailable:
        return False
    return True


def line_up(names: list[str], shown: Board, run: Run, session: str) -> None:
    """Load every model that has weights and lay out its pictures; the others say why they are left out."""
    sets: dict[int, dict[str, Any]] = {}
    sizes = {key: size for key, size in anomaly.sizes(shown.num).items() if key in kinds(shown.missing)}
    for name, row in zip(names, shown.rows, strict=True):
        if run.stopped:
            return
        try:
            with run.turn():
                model = common.obtain(name, session)
        except (weights.WeightsError, InvalidInput) as error:
            known = isinstance(error, InvalidInput)
            row.note = both(error.key, **error.params) if known else html.escape(str(error))
            continue
        if model.levels not in sets:
            sets[model.levels] = {
                key: anomaly.pictures(key, size, model.levels) for key, size in sizes.items()
            }
        row.scorer = Scorer(row.spec, model, sets[model.levels])


def kinds(missing: bool) -> list[str]:
    """The kinds of pictures that there are."""
    return [key for key in SETS if not (missing and key == CLOTHES)]
