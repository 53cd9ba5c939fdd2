"""Anomaly: what likelihoods make of pictures that are no digits, a few pictures at a time."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr

from playground import anomaly, data, judge, race, registry, scoring, validation, weights
from playground.anomaly import CLOTHES, DIGITS, SETS, Scorer
from playground.locale import both
from playground.spec import ModelSpec
from playground.tabs import anomaly_panel as panel
from playground.tabs import common, mine
from playground.tabs.anomaly_panel import Board, Row
from playground.tabs.pieces import settling
from playground.tabs.runs import Run
from playground.validation import InvalidInput, Term

SECTION = 40
SECTION_TITLE = "anomaly.title"
KIND = "anomaly"
MAX_MODELS = 12
MIN_NUM, MAX_NUM, USUAL_NUM = 10, 1000, 200
_PER_SECOND = 2.0
_AT_ONCE = 0.5  # seconds


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
    """(title, name) of the models of digits or clothes that have a likelihood."""
    kept = common.offered("HasLikelihood", owner)
    return [(title, name) for title, name in kept if is_of_sets(common.look_up(name, "HasLikelihood"))]


def is_of_sets(spec: ModelSpec) -> bool:
    """Whether a model was trained on digits or, as the lesson below the board asks for, on clothes."""
    return spec.dataset in (DIGITS, CLOTHES)


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
@settling(lambda: panel.board(Board([], USUAL_NUM, "stopped")))  # a failure that no single row could tell of
def run_anomaly(names: Any, num: Any, request: gr.Request) -> Iterator[Any]:
    """The board as the page sees it, twice a second while numbers come in."""
    asked = common.look_up_all(names, "HasLikelihood", 1, MAX_MODELS)
    for _, spec in asked:
        if not is_of_sets(spec):
            raise InvalidInput("likelihood.not_digits", model=spec.title)
    num = validation.integer(num, Term("anomaly.num"), MIN_NUM, MAX_NUM)
    titles = [mine.title(name, spec) for name, spec in asked]
    shown = Board([Row(title, spec) for title, (_, spec) in zip(titles, asked, strict=True)], num, "running")
    session, throttle = common.session(request), common.Throttle(_PER_SECOND)
    with common.RUNS.open(session, KIND, newest=True) as run:
        yield panel.board(shown)
        fetching = Fetch()
        line_up([name for name, _ in asked], shown, run, session)
        yield panel.board(shown)
        for _ in scored(shown, fetching, run):
            if throttle.due():
                yield panel.board(shown)
        if run.superseded:
            yield gr.skip()  # gradio sends what came last once more when a generator ends
            return
        shown.state = "stopped" if run.stopped else "done"
        yield panel.board(shown)


class Fetch(threading.Thread):
    """Looks for the clothes beside the scoring: where they are not here, a download may take its time.

    Attributes:
        found: whether they are here; None while it is not known, and no longer than the thread lives.
    """

    def __init__(self) -> None:
        """Start, and wait for what is found at once."""
        super().__init__(daemon=True)
        self.found: bool | None = None
        self.start()
        self.join(_AT_ONCE)

    def run(self) -> None:
        """Load them, which keeps them for everyone; whatever goes wrong, the board waits no longer."""
        found = False
        try:
            with contextlib.suppress(data.DataUnavailable):
                data.load(CLOTHES, "test")
                found = True
        finally:  # what nobody foresaw is told on standard error
            self.found = found


def line_up(names: list[str], shown: Board, run: Run, session: str) -> None:
    """Load every model that has weights; the others say why they are left out."""
    for name, row in zip(names, shown.rows, strict=True):
        if run.stopped:
            return
        try:
            with run.turn():
                row.scorer = Scorer(row.spec, common.obtain(name, session), {})
        except (InvalidInput, weights.WeightsError) as error:
            row.note = common.reason(error)


def scored(shown: Board, fetching: Fetch, run: Run) -> Iterator[None]:
    """Score a few pictures of whoever has computed least, until all are done; clothes join when they come."""
    scorers = [row.scorer for row in shown.rows if row.scorer is not None]
    give(scorers, [key for key in SETS if key != CLOTHES], shown.num)
    pending = True
    while not run.stopped:
        if pending and fetching.found is not None:
            pending, shown.missing = False, not fetching.found
            give(scorers, [CLOTHES] if fetching.found else [], shown.num)
        scorer = race.next_up(scorers)
        if scorer is not None:
            with run.turn():
                scorer.advance()
        elif pending:
            fetching.join(_AT_ONCE)
        else:
            return
        yield


def give(scorers: list[Scorer], keys: list[str], num: int) -> None:
    """Lay out further kinds of pictures, each once for all models on the same grey levels."""
    sizes, laid = anomaly.sizes(num), {}
    for scorer in scorers:
        levels = scoring.levels(scorer.spec)
        for key in keys:
            if (key, levels) not in laid:
                laid[key, levels] = anomaly.pictures(key, sizes[key], levels)
            scorer.sets[key] = laid[key, levels]
