"""Generators that others trained on photographs, downloaded on first use, on a picture of your own."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr

from playground import hub, registry, translating
from playground.locale import both, spans
from playground.spec import ModelSpec, Words
from playground.tabs import about, common, translate_panel
from playground.tabs.pieces import chip, settling
from playground.validation import InvalidInput, Term, choice

KIND = "translate_published"


def build() -> None:
    """Lay the section out and connect it; closed, for most visits need no download."""
    ways = offered()
    first = next(iter(ways))
    with gr.Accordion(common.word("translate.published"), open=False):
        common.html(f'<p class="pg-keys">{both("translate.published_intro")}</p>')
        with gr.Row():
            with gr.Column(scale=1, min_width=330):
                choices = [(common.phrase(spoken(*way)), key) for key, way in ways.items()]
                way = gr.Dropdown(choices, value=first, label=common.word("translate.route"))
                given = gr.File(label=common.word("translate.photograph"), type="binary", height=150)
                with gr.Row():
                    run = gr.Button(common.word("translate.run"), variant="primary", elem_classes=common.RUN)
                    stop = gr.Button(common.word("common.stop"), elem_classes=common.STOP, min_width=80)
            with gr.Column(scale=2, min_width=320):
                parts = translate_panel.component_parts("translate.published_ready")
                shown = gr.HTML("", elem_id="pg-published", **parts)
        explained = about.component([ways[first][0]])
    way.change(explain, way, explained, queue=False, **common.PRIVATE)
    run.click(show, [way, given], shown, concurrency_limit=None, **common.PRIVATE)  # raw, a file is a path
    stop.click(stop_published, queue=False, **common.PRIVATE)


def offered() -> dict[str, tuple[ModelSpec, str]]:
    """Every way that some published generator goes, by ``MODEL:DIRECTION``."""
    specs = [registry.spec(name) for name in registry.published("Translates")]
    return {f"{spec.name}:{way}": (spec, way) for spec in specs for way in translating.directions(spec)}


def spoken(spec: ModelSpec, direction: str) -> Words:
    """A way in words, and what it weighs."""
    a, b = translating.looks(spec, direction)
    size = f"{hub.megabytes(spec)} MB"
    return Words(f"{a.en} → {b.en} · {size}", f"{a.zh} → {b.zh} · {size}")


@common.guarded
def explain(way: Any) -> str:
    """What the generator is, where it comes from, its size and its licence."""
    spec, _ = offered()[choice(way, Term("translate.route"), offered())]
    return about.text([spec])


@common.guarded
@settling(translate_panel.idle)
def show(way: Any, given: Any, request: gr.Request) -> Iterator[str]:
    """Download what is missing, then translate the picture there and back."""
    spec, direction = offered()[choice(way, Term("translate.route"), offered())]
    if given is None:
        raise InvalidInput("translate.photograph_first")
    x, session = translating.read(spec, direction, given), common.session(request)
    with common.RUNS.open(session, KIND, newest=True) as run:
        going_on = translate_panel.idle(both("translate.download_goes_on"))
        yield from common.arriving(spec, run, partial(_downloading, spec), going_on)
        if run.stopped:
            return
        yield translate_panel.busy()
        with run.turn():
            found = translating.translate(common.obtain(spec.name, session), x, direction)
    a, b = translating.looks(spec, direction)
    said = f"{chip('done')}<span>{spans(a)} → {spans(b)}</span>"
    yield translate_panel.one(translate_panel.Lane(spec.name, spec, found), x, said)


def _downloading(spec: ModelSpec, share: float) -> str:
    facts = both("sample.downloaded", percent=round(100 * share), megabytes=hub.megabytes(spec))
    return json.dumps({"busy": True, "status": f"{chip('running')}<span>{facts}</span>"})


def stop_published(request: gr.Request) -> None:
    """End this session's waiting for a download."""
    common.RUNS.stop(common.session(request), KIND)
