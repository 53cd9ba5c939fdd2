"""Translate: a picture in another look, with pairs or without; there and back, and who says what of it."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
from torch import Tensor

from playground import figures, hub, registry, translating
from playground.locale import both
from playground.spec import ModelSpec
from playground.tabs import (
    about,
    common,
    translate_panel,
    translate_published,
    translate_request,
    translate_source,
)
from playground.tabs.pieces import settling, stopped
from playground.tabs.translate_panel import Lane
from playground.tabs.translate_request import Asked
from playground.translating import Route, Translated
from playground.validation import InvalidInput, choice

ORDER = 45
TITLE = "translate.title"
KIND = "translate"


def build() -> None:
    """Lay the tab out and connect it."""
    common.html(f'<p class="pg-intro">{both("translate.intro")}</p>')
    with gr.Row():
        with gr.Column(scale=1, min_width=330):
            source = translate_source.component("pg-translate-source")
            with gr.Row():
                run = gr.Button(common.word("translate.run"), variant="primary", elem_classes=common.RUN)
                halt = gr.Button(common.word("common.stop"), elem_classes=common.STOP, min_width=80)
            common.html(f'<p class="pg-keys">{both("common.keys")}</p>')
        with gr.Column(scale=2, min_width=320):
            shown = gr.HTML("", elem_id="pg-translate", **translate_panel.component_parts())
    explained = about.component(translators(translate_request.chosen(source.value)[0]))
    for event in (source.input, run.click):
        event(show, source, shown, concurrency_limit=None, trigger_mode="always_last", **common.RAW)
    source.input(explain, source, explained, queue=False, trigger_mode="always_last", **common.RAW)
    halt.click(stop, queue=False, **common.PRIVATE)
    translate_published.build()
    common.api(translate, "translate")


@common.guarded
@settling(translate_panel.idle)
def show(value: Any, request: gr.Request) -> Iterator[Any]:
    """Translate what the picker holds by one after the other of the models that go that way."""
    session = common.session(request)
    lanes: list[Lane] = []
    with common.RUNS.open(session, KIND, newest=True) as run:
        yield translate_panel.busy()
        asked = translate_request.asked(value)
        models = translate_request.lanes(asked.way, session)
        for name, spec in models:
            if run.stopped:
                break
            with run.turn():
                lanes.append(Lane(name, spec, work(common.obtain(name, session), asked)))
        if run.superseded:
            yield gr.skip()
        elif lanes:
            yield translate_panel.done(asked, lanes, "done" if len(lanes) == len(models) else "stopped")
        else:
            yield stopped()


def translators(way: Route) -> list[ModelSpec]:
    """The models that go a way."""
    return [registry.spec(name) for name in translating.models(way)]


@common.guarded
def explain(value: Any, request: gr.Request) -> str:
    """What the models that go the picker's way are."""
    return about.text(translators(translate_request.chosen(value)[0]))


@common.guarded
def stop(request: gr.Request) -> None:
    """End this session's translating before its next model."""
    common.RUNS.stop(common.session(request), KIND)


def work(model: Any, asked: Asked) -> Translated:
    """What one model makes of the pictures."""
    return translating.translate(model, asked.x, asked.way.direction, asked.truth)


def translate(
    model: str, picture: str = "emoji:0", direction: str = "ab", request: gr.Request | None = None
) -> dict[str, Any]:
    """Translate one picture, there and back, and say how close it comes to its true counterpart.

    Args:
        model: with the capability Translates, as `/models` lists it, or one trained here as "mine:NAME".
        picture: a held-out picture, "emoji:0" to "emoji:1900" in steps of ten or "test:0" to "test:9999" for
            digits, or a PNG, JPEG or WebP file as a data URI (at most 5 MB and 4 megapixels).
        direction: "ab" or "ba"; some models go one way only.
        request: filled in by the server.

    Returns:
        {"png": the translation as a data URI; "given": what the model saw; "back": there and back again,
        "cycle": its mean absolute difference (of pixels in [-1, 1]) and "same": what the generator of the
        picture's own look makes of it, null for models that go one way; "patches": what the discriminator
        says, rows of numbers, about 1 for real and 0 for made, or null; "draws": translations with the
        model's noise, as data URIs, or null for models without; "truth", "l1", "ssim", "l1_nothing",
        "ssim_nothing": the true counterpart, and how close the translation and the untranslated picture are
        to it, null for pictures of one's own; "milliseconds"}.
    """
    spec = common.look_up(model, "Translates", elsewhere=True)
    session = common.session(request)
    asked = _one(spec, picture, direction)
    with common.RUNS.open(session, KIND) as run:
        if spec.published is not None:  # outside of a turn, for which others wait
            run.during(hub.fetch(spec))
        with run.turn():
            found = translating.translate(common.obtain(model, session), asked[0], direction, asked[1])
    return _answer(asked[0], asked[1], found)


def _one(spec: ModelSpec, picture: Any, direction: Any) -> tuple[Tensor, Tensor | None]:
    """One picture as the model takes it, and its true counterpart if it has one."""
    if spec.published is not None:  # nothing of ours is held out for it
        way = choice(direction, "direction", translating.directions(spec))
        if not isinstance(picture, str) or not picture.startswith("data:"):
            raise InvalidInput("translate.own_only", model=spec.title)
        return translating.read(spec, way, picture), None
    asked = translate_request.pictures(translate_request.way_of(spec, direction), picture, spec)
    if len(asked.x) != 1:
        raise InvalidInput("translate.many", maximum=1, value=len(asked.x))
    return asked.x, asked.truth


def _answer(x: Tensor, truth: Tensor | None, found: Translated) -> dict[str, Any]:
    def shown(picture: Tensor | None) -> str | None:
        return None if picture is None else figures.png_data_uri(figures.grid(picture))

    nothing = dict.fromkeys(("l1", "ssim", "l1_nothing", "ssim_nothing"))
    close: dict[str, Any] = nothing if truth is None else dict(translating.compared(found.y, x, truth)[0])
    patches = (
        None
        if found.patches is None
        else [[round(v, 4) for v in row] for row in found.patches[0, 0].tolist()]
    )
    return {
        "png": shown(found.y),
        "given": shown(x),
        "back": shown(found.back),
        "same": shown(found.same),
        "truth": shown(truth),
        "cycle": None if found.away is None else round(found.away.mean().item(), 4),
        "patches": patches,
        "draws": None if found.draws is None else [shown(draw) for draw in found.draws],
        "milliseconds": round(found.milliseconds, 1),
        **close,
    }
