"""Receptive fields: click a pixel and see, by gradient, what its prediction looks at."""

from typing import Any

import gradio as gr
import torch

from playground import judge, pixels, scoring, validation
from playground.locale import both
from playground.pixels import Field
from playground.spec import ModelSpec
from playground.tabs import common, digit_pad
from playground.tabs import pixels_panel as panel
from playground.tabs.pieces import page
from playground.validation import InvalidInput, Term

KIND = "pixels_field"
START = "14 13"
DEPTH = 6


def build(inputs: list[Any]) -> None:
    """The part with the receptive fields; `inputs` are model, label and pad of the section."""
    common.html(
        f'<h2 class="pg-part">{both("pixels.field")}</h2><p class="pg-intro">{both("pixels.field_intro")}</p>'
    )
    depth = gr.Slider(0, pixels.MAX_DEPTH, DEPTH, step=1, label=common.word("pixels.depth"))
    shown = gr.HTML(
        START, maps="", html_template=panel.field_skeleton(), apply_default_css=False,
        css_template=page("pixels_field.css"), js_on_load=page("pixels_field.js"), elem_id="pg-pixels-field",
    )  # fmt: skip
    for component in (*inputs, depth, shown):
        component.input(look, [*inputs, depth, shown], shown, **common.LATEST)
    common.on_show(look, [*inputs, depth, shown], shown)
    common.api(receptive_field, "receptive_field")


def check(name: Any, label: Any, depth: Any, row: Any, column: Any) -> tuple[ModelSpec, int, int, int, int]:
    """The spec of a model of digits, a label (0 if none is given), depth, row and column."""
    spec = common.look_up(name, "PredictsPixels")
    if spec.dataset != judge.spec().dataset:
        raise InvalidInput("likelihood.not_digits", model=spec.title)
    last = digit_pad.SIDE - 1
    return (
        spec,
        validation.label(label, spec) or 0,
        validation.integer(depth, Term("pixels.depth"), 0, pixels.MAX_DEPTH),
        validation.integer(row, Term("pixels.row"), 0, last),
        validation.integer(column, Term("pixels.column"), 0, last),
    )


@common.guarded
def look(name: Any, label: Any, pad: Any, depth: Any, place: Any, request: gr.Request) -> Any:
    """Both fields of the place that was clicked; while the sheet is empty what was shown stays."""
    row, column = read_place(place)
    spec, label, depth, row, column = check(name, label, depth, row, column)
    if pad in (None, ""):
        return gr.skip()
    session = common.session(request)
    with common.RUNS.open(session, KIND, newest=True) as run:
        with run.turn():
            own, plain = measure(common.obtain(name, session), spec, label, pad, depth, (row, column))
        if run.superseded:
            return gr.skip()
    reach = pixels.MaskedStack(depth).reach
    found = [
        (spec.title, both("pixels.own_note"), own),
        (both("pixels.stack"), both("pixels.stack_note", depth=depth, reach=reach), plain),
    ]
    return gr.update(maps=panel.fields((row, column), found))


def read_place(value: Any) -> tuple[int, int]:
    """Row and column from the page's "ROW COLUMN"; raises InvalidInput."""
    parts = value.split() if isinstance(value, str) and len(value) < 12 else []
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise InvalidInput("pixels.bad_place", value=validation.shown(value))
    return int(parts[0]), int(parts[1])


def measure(
    model: Any, spec: ModelSpec, label: int, pad: Any, depth: int, place: tuple[int, int]
) -> tuple[Field, Field]:
    """The field of the model and that of the masked stack, on the same picture."""
    x, where = scoring.on_levels(digit_pad.read(pad), spec.levels), judge.device_of(model)

    def logits(probes: torch.Tensor) -> torch.Tensor:
        return model.pixel_logits(probes, torch.full((len(probes),), label, device=where))

    return (
        pixels.field(logits, x.to(where), *place),
        pixels.field(pixels.MaskedStack(depth), x, *place),
    )


def receptive_field(
    model: str,
    row: int = 14,
    column: int = 13,
    picture: str = "test:0",
    label: str = "any",
    depth: int = DEPTH,
    request: gr.Request | None = None,
) -> dict[str, Any]:
    """Measure by gradient what the prediction of a pixel looks at, and what a plain masked stack misses.

    Args:
        model: of `/models`, one that predicts pixels.
        row: of the pixel, 0 to 27.
        column: of the pixel, 0 to 27.
        picture: "test:0" to "test:9999" (a test digit), or a PNG, JPEG or WebP file as a data URI.
        label: "any" (the class 0 is given, which does not change what is seen), or one, 0 to 9.
        depth: layers of the masked stack that it is compared with, 0 to 12.
        request: filled in by the server.

    Returns:
        {"model": its field, "stack": that of the untrained masked stack}, each {"seen": 784 values row by
        row, 1 where there is a gradient, "strength": the gradient's size on the picture, "num_seen",
        "num_past", "num_blind": past pixels not seen though others as far away are, "num_future": pixels at
        or after the place that have any influence, 0 for an honest model}.
    """
    spec, given, depth, row, column = check(model, label, depth, row, column)
    session = common.session(request)
    with common.RUNS.open(session, KIND) as run, run.turn():
        found = measure(common.obtain(model, session), spec, given, picture, depth, (row, column))
    return {key: facts(one, row, column) for key, one in zip(("model", "stack"), found, strict=True)}


def facts(found: Field, row: int, column: int) -> dict[str, Any]:
    """A field as the endpoint returns it."""
    return {
        "seen": found.seen.flatten().int().tolist(), "strength": found.strength.flatten().tolist(),
        "num_seen": int(found.seen.sum()), "num_past": row * found.seen.shape[1] + column,
        "num_blind": int(found.blind.sum()), "num_future": pixels.future(found.seen, row, column),
    }  # fmt: skip
