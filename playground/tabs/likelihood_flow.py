"""Flow: a picture travels through the layers of an invertible network to z and back, and z is edited."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from playground import flowing, judge, registry, scoring, validation
from playground.flowing import CHOICES, KEEP, Way
from playground.locale import both
from playground.spec import ModelSpec
from playground.tabs import common, digit_pad, mine
from playground.tabs import flow_panel as panel
from playground.tabs.pieces import address, cost, page, settling
from playground.validation import InvalidInput, Term

SECTION = 20
SECTION_TITLE = "flow.title"
KIND, KIND_SAMPLES = "flow", "flow_samples"
NUM_SAMPLES = 6  # at every temperature
MAX_SCALE = 1.5
MAX_EDIT = 1000  # characters of the editor's JSON


def build() -> None:
    """Lay the section out and connect it."""
    first = start_name()
    common.html(f'<p class="pg-intro">{both("flow.intro")}</p>')
    with gr.Row():
        with gr.Column(scale=1, min_width=250):
            name = gr.Dropdown(common.offered("Flows"), value=first, label=common.word("common.model"))
            pad = digit_pad.pad("pg-flow-pad")
            seed = common.seed_number()
        with gr.Column(scale=3, min_width=320):
            way = gr.HTML(
                "", html_template=panel.skeleton(), apply_default_css=False, elem_id="pg-flow-way",
                css_template=page("flow.css"), js_on_load=page("flow.js"),
            )  # fmt: skip
    other, editor, edited = build_editor(num_groups(first))
    heat, run, halt = build_samples()
    inputs = [name, pad, other, editor, seed]
    for component in (pad, seed):
        component.input(look, inputs, [way, edited], **common.LATEST)
    name.input(choose, inputs, [way, edited, editor], **common.LATEST)
    for component in (other, editor):
        component.input(edit, inputs, edited, **common.LATEST)
    run.click(draw, [name, seed], heat, concurrency_limit=None, trigger_mode="multiple", **common.RAW)
    halt.click(stop, queue=False, **common.PRIVATE)
    common.on_show(refresh, None, name)
    common.on_show(look, inputs, [way, edited])
    common.api(flow, "flow")


def part(key: str) -> None:
    """The heading of a part of the section."""
    common.html(f'<h2 class="pg-part">{both(key)}</h2><p class="pg-intro">{both(f"{key}_intro")}</p>')


def build_editor(groups: int) -> tuple[gr.HTML, gr.HTML, gr.HTML]:
    """The other digit, where each group of z comes from, and what that gives."""
    part("flow.edit")
    style = page("flow_edit.css")
    with gr.Row():
        with gr.Column(scale=1, min_width=250):
            other = digit_pad.pad("pg-flow-other", first=7)
        with gr.Column(scale=3, min_width=320):
            editor = gr.HTML(
                "", html_template=panel.editor_skeleton(), groups=panel.editor(groups), css_template=style,
                apply_default_css=False, js_on_load=page("flow_edit.js"), elem_id="pg-flow-editor",
            )  # fmt: skip
            edited = gr.HTML("", apply_default_css=False, css_template=style, elem_id="pg-flow-edited")
    return other, editor, edited


def build_samples() -> tuple[gr.HTML, gr.Button, gr.Button]:
    """Samples by temperature and their buttons."""
    part("flow.heat")
    with gr.Row():
        run = gr.Button(common.word("flow.draw"), variant="primary", elem_classes=common.RUN, min_width=120)
        halt = gr.Button(common.word("common.stop"), elem_classes=common.STOP, min_width=80)
    style = page("flow_edit.css")
    return (
        gr.HTML(panel.waiting(), apply_default_css=False, css_template=style, elem_id="pg-flow-heat"),
        run,
        halt,
    )


def start_name() -> str:
    """The newest flow with weights, or the newest of all."""
    names = registry.names("Flows")
    return ([name for name in names if registry.shipped(name)] or names)[-1]


def num_groups(name: str) -> int:
    """In how many groups a model's latent is edited."""
    spec = registry.spec(name)
    return len(spec.build().latent_groups())


def check(name: Any) -> ModelSpec:
    """The spec of a flow of digits; raises InvalidInput."""
    spec = common.look_up(name, "Flows")
    if spec.dataset != judge.spec().dataset:
        raise InvalidInput("likelihood.not_digits", model=spec.title)
    return spec


def read_edit(value: Any, groups: int) -> tuple[list[str], float]:
    """What the editor or a program asks for: where each group comes from, and the scale of all."""
    if value in (None, ""):
        return [KEEP] * groups, 1.0
    try:
        asked = json.loads(value if isinstance(value, str) and len(value) < MAX_EDIT else "")
        choices, scale = asked["choices"], asked["scale"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InvalidInput("flow.bad_edit", value=validation.shown(value)) from None
    return read_choices(choices, groups), validation.number(scale, Term("flow.scale"), 0, MAX_SCALE)


def read_choices(choices: Any, groups: int) -> list[str]:
    """One of `CHOICES` for every group; raises InvalidInput."""
    if not isinstance(choices, list | tuple) or len(choices) != groups:
        raise InvalidInput("flow.bad_choices", number=groups, value=validation.shown(choices))
    return [validation.choice(choice, Term("flow.choice"), CHOICES) for choice in choices]


@common.guarded
def look(name: Any, pad: Any, other: Any, edit: Any, seed: Any, request: gr.Request) -> list[Any]:
    """The way of a picture and its edited latent; while a sheet is empty what was shown stays."""
    spec, seed = check(name), validation.seed(seed)
    if pad in (None, ""):
        return [gr.skip(), gr.skip()]
    x = scoring.on_levels(digit_pad.read(pad), 256)
    session = common.session(request)
    with common.RUNS.open(session, KIND, newest=True) as run:
        with run.turn():
            model = common.obtain(name, session)
            found = flowing.travel(model, x, seed)
        if run.superseded:
            return [gr.skip(), gr.skip()]
        changed = gr.skip() if other in (None, "") else changes(model, x, other, edit, seed)
    return [panel.way(found, spec, x), changed]


@common.guarded
def choose(name: Any, pad: Any, other: Any, edit: Any, seed: Any, request: gr.Request) -> list[Any]:
    """Another model: its way, and a fresh editor with its groups."""
    check(name)
    groups = num_groups(mine.plain(name))
    return [*look(name, pad, other, "", seed, request), gr.update(value="", groups=panel.editor(groups))]


@common.guarded
def edit(name: Any, pad: Any, other: Any, edit: Any, seed: Any, request: gr.Request) -> Any:
    """The edited latent alone."""
    check(name)
    seed = validation.seed(seed)
    if pad in (None, "") or other in (None, ""):
        return gr.skip()
    x, session = scoring.on_levels(digit_pad.read(pad), 256), common.session(request)
    with common.RUNS.open(session, KIND, newest=True) as run:
        with run.turn():
            changed = changes(common.obtain(name, session), x, other, edit, seed)
        return gr.skip() if run.superseded else changed


@torch.no_grad()
def changes(model: Any, x: Tensor, other: Any, edit: Any, seed: int) -> str:
    """The picture, what its edited latent decodes to, and the other picture, each with its z."""
    x = torch.cat([x, scoring.on_levels(digit_pad.read(other), 256)]).to(judge.device_of(model))
    choices, scale = read_edit(edit, len(model.latent_groups()))
    z, made = edited_latents(model, x, choices, scale, seed)
    latents = [panel.rough(each, model, x[:1]) for each in (z[:1], made, z[1:])]
    started = time.perf_counter()
    pictures = x[:1].cpu(), flowing.decoded(model, made), x[1:].cpu()
    took = cost(model.decode_nfe, time.perf_counter() - started)
    return panel.edited(list(zip(("mine", "made", "others"), latents, pictures, ("", took, ""), strict=True)))


def edited_latents(
    model: Any, x: Tensor, choices: Sequence[str], scale: float, seed: int
) -> tuple[Tensor, Tensor]:
    """(2, C, H, W) -> both latents, and the first one edited with the second, on the CPU."""
    z = model.encode(x).cpu()
    return z, flowing.edited(model, z[:1], z[1:], choices, scale, seed)


def refresh(request: gr.Request) -> Any:
    """What can be chosen now, models trained in this page included."""
    return gr.update(choices=common.offered("Flows", common.session(request)))


@common.guarded
def stop(request: gr.Request) -> None:
    """End this session's samples before the next temperature."""
    common.RUNS.stop(common.session(request), KIND_SAMPLES)


@common.guarded
@settling(panel.waiting)
def draw(name: Any, seed: Any, request: gr.Request) -> Iterator[Any]:
    """Samples at one temperature after the other."""
    check(name)
    seed, session = validation.seed(seed), common.session(request)
    columns: list[tuple[float, Tensor]] = []
    num, seconds = len(flowing.TEMPERATURES), 0.0
    with common.RUNS.open(session, KIND_SAMPLES, newest=True) as run:
        with run.turn():
            steps = flowing.by_temperature(common.obtain(name, session), NUM_SAMPLES, seed)
        while not run.stopped:
            with run.turn():
                started = time.perf_counter()
                column = next(steps, None)
                seconds += time.perf_counter() - started
            if column is None:
                break
            columns.append(column)
            yield panel.temperatures(columns, seconds, "done" if len(columns) == num else "running")
        if run.superseded:
            yield gr.skip()
        elif len(columns) < num:
            yield panel.temperatures(columns, seconds, "stopped")


def flow(
    name: str, picture: str = "test:0", other: str = "test:1", choices: list[str] | None = None,
    scale: float = 1.0, seed: int = 0, request: gr.Request | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Send a digit through a flow: what each layer adds to its log-density, the round trip, an edited latent.

    Args:
        name: of a model that is a flow, as `/models` lists it.
        picture: "test:0" to "test:9999" (a test digit), or a PNG, JPEG or WebP file as a data URI.
        other: the picture from which groups of z may be taken, likewise.
        choices: "keep", "zero", "other" or "noise" for each group of z, from what shapes the whole to detail.
        scale: 0 to 1.5, times the edited latent.
        seed: of dequantisation and of noise, 0 to 4294967295.
        request: filled in by the server.

    Returns:
        {"nats": log-density of the picture's pixels in [0, 256) with one draw of dequantisation noise,
        "bits_per_dim", "kind": "dequantised", "num": 1, "log_normal": of z, "layers": [{"name", "log_det",
        "mean", "std"}], "round_trip": the largest error in [-1, 1], "groups": of z, "png": what the edited
        latent decodes to}. nats = log_normal + the sum of log_det.
    """
    check(name)
    seed, session = validation.seed(seed), common.session(request)
    x = torch.cat([scoring.on_levels(digit_pad.read(one), 256) for one in (picture, other)])
    scale = validation.number(scale, Term("flow.scale"), 0, MAX_SCALE)
    with common.RUNS.open(session, KIND) as run, run.turn(), torch.no_grad():
        model = common.obtain(name, session)
        groups = len(model.latent_groups())
        wanted = read_choices([KEEP] * groups if choices is None else choices, groups)
        found = flowing.travel(model, x[:1], seed)
        _, made = edited_latents(model, x.to(judge.device_of(model)), wanted, scale, seed)
        png = address(flowing.decoded(model, made))
    return answer(found, x[0].numel()) | {"groups": groups, "png": png}


def answer(found: Way, num_dims: int) -> dict[str, Any]:
    """A way as the endpoint says it."""
    layers = [{"name": i.name, "log_det": i.log_det, "mean": i.mean, "std": i.std} for i in found.layers]
    return {
        "nats": found.nats, "bits_per_dim": scoring.bits_per_dim(found.nats, num_dims), "num": 1,
        "kind": "dequantised", "log_normal": found.log_normal, "layers": layers, "round_trip": found.error,
    }  # fmt: skip
