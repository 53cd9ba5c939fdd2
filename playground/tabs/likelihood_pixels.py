"""Pixel by pixel: an autoregressive model reads, writes and completes a digit, and shows what it looks at."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
import torch

from playground import judge, pixels, race, registry, scoring, validation
from playground.locale import both
from playground.nn import randint
from playground.spec import ModelSpec
from playground.tabs import common, digit_pad, pixels_complete, pixels_field
from playground.tabs import pixels_panel as panel
from playground.tabs.pieces import cost, page, settling
from playground.validation import InvalidInput

SECTION = 10
SECTION_TITLE = "pixels.title"
KIND, KIND_WRITE = "pixels", "pixels_write"


def build() -> None:
    """Lay the section out and connect it."""
    first = start_name()
    common.html(f'<p class="pg-intro">{both("pixels.intro")}</p>')
    with gr.Row():
        with gr.Column(scale=1, min_width=250):
            name = gr.Dropdown(
                common.offered("PredictsPixels"), value=first, label=common.word("common.model")
            )
            label = common.label_choice()
            pad = digit_pad.pad("pg-pixels-pad")
            temperature = gr.Slider(
                0.2, 1.5, 1.0, step=0.05, label=common.word("pixels.temperature"),
                info=common.word("pixels.temperature_info"),
            )  # fmt: skip
            seed = common.seed_number()
            with gr.Row():
                run = gr.Button(
                    common.word("pixels.write"), variant="primary", elem_classes=common.RUN, min_width=150
                )
                halt = gr.Button(common.word("common.stop"), elem_classes=common.STOP, min_width=80)
        with gr.Column(scale=3, min_width=320):
            shown = gr.HTML(
                "", html_template=panel.skeleton(), apply_default_css=False, elem_id="pg-pixels",
                css_template=page("pixels.css"), js_on_load=page("pixels.js"),
            )  # fmt: skip
    pixels_complete.build(pad, label, temperature, seed)
    pixels_field.build(inputs := [name, label, pad])
    build_speeds()
    for component in (name, label, pad):
        component.input(look, inputs, shown, **common.LATEST)
    run.click(
        write, [name, label, temperature, seed], shown, concurrency_limit=None, trigger_mode="multiple",
        **common.RAW,
    )  # fmt: skip
    halt.click(stop, queue=False, **common.PRIVATE)
    common.on_show(refresh, None, name)
    common.on_show(look, inputs, shown)
    common.api(pixel_surprise, "pixels")


def build_speeds() -> None:
    """The part that tells why writing codes is faster than writing pixels."""
    about = f'<p class="pg-intro">{both("pixels.speed_intro")}</p>'
    common.html(f'<h2 class="pg-part">{both("pixels.speed")}</h2>{about}')
    gr.HTML(panel.speeds(), apply_default_css=False, css_template=page("pixels.css"))


def start_name() -> str:
    """The first model that predicts pixels, has weights and needs no grey levels: it answers fastest."""
    names = registry.names("PredictsPixels")
    return min(names, key=lambda name: (not registry.shipped(name), registry.spec(name).levels))


def check(name: Any, label: Any) -> tuple[ModelSpec, int | None]:
    """The spec of a model of digits, and the label that is given; raises InvalidInput."""
    spec = common.look_up(name, "PredictsPixels")
    if spec.dataset != judge.spec().dataset:
        raise InvalidInput("likelihood.not_digits", model=spec.title)
    return spec, validation.label(label, spec)


@common.guarded
def look(name: Any, label: Any, pad: Any, request: gr.Request) -> Any:
    """The digit of the pad as the model reads it; while the sheet is empty what was shown stays."""
    spec, label = check(name, label)
    if pad in (None, ""):
        return gr.skip()
    x = scoring.on_levels(digit_pad.read(pad), spec.levels)
    session = common.session(request)
    common.RUNS.stop(session, KIND_WRITE)
    with common.RUNS.open(session, KIND, newest=True) as run:
        with run.turn():
            found = pixels.read(common.obtain(name, session), x, label)
        if run.superseded:
            return gr.skip()
    return panel.reading(found, spec, both("pixels.read_by", model=spec.title))


def refresh(request: gr.Request) -> Any:
    """What can be chosen now, models trained in this page included."""
    return gr.update(choices=common.offered("PredictsPixels", common.session(request)))


@common.guarded
def stop(request: gr.Request) -> None:
    """End this session's writing before its next pixel."""
    common.RUNS.stop(common.session(request), KIND_WRITE)


@common.guarded
@settling(panel.stopped)
def write(name: Any, label: Any, temperature: Any, seed: Any, request: gr.Request) -> Iterator[Any]:
    """Let the model write a picture, then show what it predicted at every pixel."""
    spec, label = check(name, label)
    knobs = validation.controls(spec, {"temperature": temperature})
    generator = torch.Generator().manual_seed(validation.seed(seed))
    label = int(randint(10, 1, generator)) if label is None else label
    session, throttle = common.session(request), common.Throttle()
    with common.RUNS.open(session, KIND_WRITE, newest=True) as run:
        with run.turn():
            model = common.obtain(name, session)
        steps = model.sample(1, labels=torch.tensor([label]), generator=generator, **knobs)
        racer = race.Racer(name, steps, 1)
        while not racer.done and not run.stopped:
            with run.turn():
                racer.advance()
            if racer.last is not None and throttle.due():
                yield panel.writing(racer.last.x[0, 0], racer.last.step, racer.last.num_steps)
        race.close(steps)
        if run.superseded:
            yield gr.skip()
        elif run.stopped or racer.last is None:
            yield panel.stopped()
        else:
            with run.turn():
                found = pixels.read(model, racer.last.x, label, knobs["temperature"])
            said = both("pixels.written_by", model=spec.title, label=label, t=f"{knobs['temperature']:.2f}")
            yield panel.reading(found, spec, f"{said} · {cost(racer.last.nfe, racer.seconds)}")


def pixel_surprise(
    model: str, picture: str = "test:0", label: str = "any", request: gr.Request | None = None
) -> dict[str, Any]:
    """Measure how surprising every pixel of a digit is to an autoregressive model, given those before it.

    Args:
        model: of `/models`, one that predicts pixels.
        picture: "test:0" to "test:9999" (a test digit), or a PNG, JPEG or WebP file as a data URI.
        label: "any" (the classes are weighed by what has been read), or one, 0 to 9.
        request: filled in by the server.

    Returns:
        {"model", "levels": 2 or 256, "label", "nats": surprise of all 784 pixels row by row, "ink": the
        probability that each is not black, "total_nats": -log p(x) or -log p(x | label), their sum,
        "bits_per_dim", "kind": "exact", "num": 1, "classes": p(class | picture) when no label is given}.
    """
    spec, given = check(model, label)
    session = common.session(request)
    x = scoring.on_levels(digit_pad.read(picture), spec.levels)
    with common.RUNS.open(session, KIND) as run, run.turn():
        found = pixels.read(common.obtain(model, session), x, given)
    return {
        "model": spec.name, "levels": spec.levels, "label": given, "nats": found.nats.flatten().tolist(),
        "ink": found.ink.flatten().tolist(), "total_nats": found.total,
        "bits_per_dim": scoring.bits_per_dim(-found.total, x.numel()), "kind": "exact", "num": 1,
        "classes": None if found.belief is None else found.belief[-1].tolist(),
    }  # fmt: skip
