"""One digit through every family: each model does with it what it can, live, and says why no more."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from playground import families, race, registry, validation, weights
from playground.families import Attempt
from playground.locale import both
from playground.spec import ModelSpec
from playground.tabs import common, digit_pad, mine
from playground.tabs import families_panel as panel
from playground.tabs.families_panel import Card
from playground.tabs.likelihood_anomaly import is_digits
from playground.tabs.pieces import settling
from playground.tabs.runs import Run
from playground.validation import InvalidInput

SECTION = 50
SECTION_TITLE = "families.title"
KIND = "families"
MAX_MODELS = 12
_PER_SECOND = 4.0


def build() -> None:
    """Lay the section out and connect it."""
    names = default_names()
    common.html(f'<p class="pg-intro">{both("families.intro")} {both("common.keys")}</p>')
    with gr.Row():
        with gr.Column(scale=1, min_width=230):
            pad = digit_pad.pad("pg-families-pad")
        with gr.Column(scale=4, min_width=320):
            chosen = gr.Dropdown(
                offered(""), value=names, multiselect=True, max_choices=MAX_MODELS,
                label=common.word("common.models"),
            )  # fmt: skip
            seed = common.seed_number()
            with gr.Row():
                go = gr.Button(common.word("families.run"), variant="primary", elem_classes=common.RUN)
                halt = gr.Button(common.word("common.stop"), elem_classes=common.STOP)
    cards = [Card(registry.spec(n).title, registry.spec(n), i) for i, n in enumerate(names)]
    shown = gr.HTML(
        panel.board(cards, "ready"),
        css_template=panel.STYLE, apply_default_css=False, elem_id="pg-families-board",
    )  # fmt: skip
    go.click(run_families, [pad, chosen, seed], shown, concurrency_limit=None, trigger_mode="multiple",
             **common.RAW)  # fmt: skip
    halt.click(stop, queue=False, **common.PRIVATE)
    common.on_show(refresh, None, chosen)


def offered(owner: str) -> list[tuple[str, str]]:
    """(title, name) of the models of digits."""
    kept = common.offered("Samples", owner)
    return [(title, name) for title, name in kept if is_digits(common.look_up(name, "Samples"))]


def default_names() -> list[str]:
    """For every family and approach the shipped model with the best quality on its card."""
    found: dict[tuple[str, str], str] = {}
    for _, name in offered(""):
        spec = registry.spec(name)
        key = spec.family, families.approach(spec)
        if registry.shipped(name) and (key not in found or _distance(name) < _distance(found[key])):
            found[key] = name
    return list(found.values())[:MAX_MODELS] or [offered("")[0][1]]


def _distance(name: str) -> float:
    """The Frechet distance on a model's card; infinity where it was not measured."""
    return float(registry.card(name).get("metrics", {}).get("fid", {}).get("value", "inf"))


def refresh(request: gr.Request) -> Any:
    """What can be chosen now, models trained in this page included."""
    return gr.update(choices=offered(common.session(request)))


@common.guarded
def stop(request: gr.Request) -> None:
    """End this session's work before its next step."""
    common.RUNS.stop(common.session(request), KIND)


def check(names: Any) -> list[tuple[str, ModelSpec]]:
    """The models that were asked for; raises InvalidInput."""
    asked = common.look_up_all(names, "Samples", 1, MAX_MODELS)
    for _, spec in asked:
        if not is_digits(spec):
            raise InvalidInput("families.not_digits", model=spec.title)
    return asked


@common.guarded
@settling(lambda: panel.board([], "stopped"))  # a failure that no single card could tell of
def run_families(drawn: Any, names: Any, seed: Any, request: gr.Request) -> Iterator[Any]:
    """The board as the page sees it, several times a second; who has computed least goes next."""
    asked, seed, x = check(names), validation.seed(seed), digit_pad.read(drawn)
    cards = [
        Card(mine.title(name, spec), spec, index, state="waiting") for index, (name, spec) in enumerate(asked)
    ]
    session, throttle = common.session(request), common.Throttle(_PER_SECOND)
    with common.RUNS.open(session, KIND, newest=True) as run:
        yield panel.board(cards, "running")  # before anything is fetched
        with run.turn():
            read = families.read(x)
        yield panel.board(cards, "running", x, read)
        for (name, spec), card in zip(asked, cards, strict=True):
            model = load(name, card, run, session)
            card.attempt = None if model is None else Attempt(spec, model, x, read[0], seed)
            if throttle.due():
                yield panel.board(told(cards), "running", x, read)
        attempts = [card.attempt for card in cards if card.attempt is not None]
        while not run.stopped and (attempt := race.next_up(attempts)):
            with run.turn():
                attempt.advance()
            if throttle.due() or attempt.done:
                yield panel.board(told(cards), "running", x, read)
        if run.superseded:
            yield gr.skip()  # gradio sends what came last once more when a generator ends
            return
        yield panel.board(told(cards, run.stopped), "stopped" if run.stopped else "done", x, read)


def load(name: str, card: Card, run: Run, session: str) -> Any:
    """The model behind a card; None where it has no weights, and the card says so, or after a stop."""
    if run.stopped:
        return None
    try:
        with run.turn():
            return common.obtain(name, session)
    except (InvalidInput, weights.WeightsError) as error:
        card.note = common.reason(error)
    card.state = "absent"
    return None


def told(cards: list[Card], stopped: bool = False) -> list[Card]:
    """The cards, each with the state of its attempt; one that is not done when all is stopped is stopped."""
    for card in cards:
        if card.attempt is not None and card.attempt.done:
            card.state = "done"
        elif card.state != "absent" and stopped:
            card.state = "stopped"
        elif card.attempt is not None and card.attempt.moment is not None:
            card.state = "running"
    return cards
