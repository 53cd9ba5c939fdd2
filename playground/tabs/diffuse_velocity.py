"""Paths: velocity fields in the plane, how straight two models' paths are, and what skips and time buy."""

from collections.abc import Iterator
from typing import Any, cast

import gradio as gr
import torch
from torch import Tensor, nn

from playground import data, judge, registry, reversing, validation, velocity
from playground.locale import both
from playground.spec import HasScore, ModelSpec
from playground.tabs import common, mine, pieces, velocity_field, velocity_panel
from playground.tabs import diffuse_lanes as lanes
from playground.tabs.runs import Run
from playground.tabs.velocity_panel import Denoiser, Short
from playground.validation import InvalidInput
from playground.velocity import Trail

SECTION = 50
SECTION_TITLE = "velocity.title"
KINDS = ("velocity_paths", "velocity_denoisers")
STEPS = 50  # of a path that is measured
FEW = (1, 2, 4, 8)
_SHARE = 0.6  # of the work that walking the paths is; the rest is drawing in few steps
NUM_PATHS, NUM_PICTURES, NUM_TEST = 9, 25, 64
TIMES = (50, 150, 300, 450, 600, 750, 850, 950)  # where errors are measured, of 1000


def build() -> None:
    """Lay the section out and connect it."""
    common.html(f'<p class="pg-intro">{both("velocity.intro")}</p>')
    toys = [(common.word(f"velocity.{name}"), name) for name in velocity_field.TOYS]
    toy = gr.Radio(toys, value=toys[0][1], label=common.word("velocity.toy"))
    plane = gr.HTML(
        "", html_template=velocity_field.skeleton(), apply_default_css=False,
        css_template=pieces.page("velocity.css"), js_on_load=pieces.page("velocity.js"),
        elem_id="pg-velocity",
    )  # fmt: skip
    toy.change(field, toy, plane, queue=False, trigger_mode="always_last", **common.RAW)
    common.on_show(field, toy, plane)  # a large picture that most pages never ask for
    _paths()
    _denoisers()


def _paths() -> None:
    """The part about straightness."""
    common.html(f'<h2 class="pg-part">{both("velocity.paths")}</h2>')
    common.html(f'<p class="pg-intro">{both("velocity.paths_intro", steps=STEPS)}</p>')
    first, second = pair("Denoises")
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            names = _choices("Denoises", first, second)
            label = common.label_choice()
            seed = common.seed_number()
            run, halt = _buttons("velocity.walk")
        with gr.Column(scale=3, min_width=320):
            shown = lanes.component("pg-paths", "velocity.paths_ready")
    options: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple", **common.RAW}
    run.click(walk, [*names, label, seed], shown, **options)
    halt.click(stop_walk, queue=False, **common.PRIVATE)
    common.on_show(offer_denoising, None, names)


def _denoisers() -> None:
    """The part about skips and time."""
    common.html(f'<h2 class="pg-part">{both("velocity.denoisers")}</h2>')
    common.html(f'<p class="pg-intro">{both("velocity.denoisers_intro")}</p>')
    first, second = pair("HasScore")
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            names = _choices("HasScore", first, second)
            seed = common.seed_number()
            run, halt = _buttons("velocity.compare")
        with gr.Column(scale=3, min_width=320):
            shown = lanes.component("pg-denoisers", "velocity.denoisers_ready")
    options: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple", **common.RAW}
    run.click(compare, [*names, seed], shown, **options)
    halt.click(stop_compare, queue=False, **common.PRIVATE)
    common.on_show(offer_scores, None, names)


def _choices(capability: str, first: str, second: str) -> list[gr.Dropdown]:
    """Two models side by side."""
    offered = common.offered(capability)
    return [
        gr.Dropdown(offered, value=first, label=common.word("velocity.first")),
        gr.Dropdown(offered, value=second, label=common.word("velocity.second")),
    ]


def _buttons(key: str) -> tuple[gr.Button, gr.Button]:
    with gr.Row():
        run = gr.Button(common.word(key), variant="primary", elem_classes=common.RUN, scale=2)
        halt = gr.Button(common.word("common.stop"), elem_classes=common.STOP, min_width=80)
    return run, halt


def pair(capability: str) -> tuple[str, str]:
    """The two models shown first, shipped ones before others.

    Of those with a score, one that takes labels and one that does not; of those that only denoise, one
    whose paths can be walked in both directions though it has none, and one with a score.
    """
    kept = [name for name in registry.names(capability) if registry.spec(name).family == "diffusion"]
    kept = sorted(kept or registry.names(capability), key=lambda name: not registry.shipped(name))
    score, wanted = [name for name in kept if "HasScore" in registry.spec(name).capabilities], kept
    if capability == "Denoises":
        others = [name for name in kept if name not in score]
        wanted = [name for name in others if "Encodes" in registry.spec(name).capabilities]
        return (wanted or kept)[0], (score or kept)[0]
    with_label = [name for name in score if registry.spec(name).conditional]
    without = [name for name in score if not registry.spec(name).conditional]
    return (with_label or score)[0], (without or score)[-1]


def offer_denoising(request: gr.Request) -> list[Any]:
    """What can be chosen now, models trained in this page included."""
    return [gr.update(choices=common.offered("Denoises", common.session(request)))] * 2


def offer_scores(request: gr.Request) -> list[Any]:
    """The same of the models with a score."""
    return [gr.update(choices=common.offered("HasScore", common.session(request)))] * 2


@common.guarded
def field(name: Any, request: gr.Request) -> str:
    """Another toy data set."""
    return velocity_field.scene(validation.choice(name, validation.Term("velocity.toy"), velocity_field.TOYS))


@common.guarded
def stop_walk(request: gr.Request) -> None:
    """End this session's paths before their next step."""
    common.RUNS.stop(common.session(request), KINDS[0])


@common.guarded
def stop_compare(request: gr.Request) -> None:
    """End this session's comparison before its next step."""
    common.RUNS.stop(common.session(request), KINDS[1])


def _two(names: list[Any], capability: str) -> list[tuple[str, ModelSpec]]:
    """Two different models of the data set that the classifier judges; raises InvalidInput."""
    found = common.look_up_all(names, capability, 2, 2)
    for _, spec in found:
        if spec.dataset != judge.spec().dataset:
            raise InvalidInput("diffuse.no_digits", model=spec.title)
    return found


@common.guarded
@pieces.settled
def walk(request: gr.Request, first: Any, second: Any, label: Any, seed: Any) -> Iterator[Any]:
    """Walk the paths of two models from the same noise, measure them, and draw in few steps too."""
    names, seed = _two([first, second], "Denoises"), validation.seed(seed)
    wanted = validation.label(label)
    labels = data.in_turn(NUM_PATHS) if wanted is None else torch.full((NUM_PATHS,), wanted)
    session, throttle = common.session(request), common.Throttle()
    with common.RUNS.open(session, KINDS[0], newest=True) as run:
        yield pieces.busy(0.0)
        trails: list[Trail] = []
        for name, spec in names:
            if run.stopped:
                break
            with run.turn():
                trails.append(Trail(common.obtain(name, session), spec))
            for share in walked(trails[-1], labels, seed, NUM_PATHS, run):
                if throttle.due():
                    yield velocity_panel.walking(trails, _SHARE * (share + len(trails) - 1) / 2)
        shorts: dict[str, dict[int, Short]] = {}
        if not run.stopped:
            for share in shortened(shorts, [name for name, _ in names], trails, labels, seed, run, session):
                if throttle.due():
                    yield velocity_panel.walking(trails, _SHARE + (1 - _SHARE) * share)
        if run.superseded:
            yield gr.skip()
        elif run.stopped:
            yield pieces.stopped()
        else:
            yield velocity_panel.walked(trails, shorts, STEPS, seed)


def walked(trail: Trail, labels: Tensor | None, seed: int, num: int, run: Run) -> Iterator[float]:
    """Let a trail be walked in turns; yields the share that is done."""
    where = judge.device_of(cast(nn.Module, trail.model))
    eps = velocity.noise_of(trail.spec, num, seed).to(where)
    given = labels if trail.spec.conditional else None
    steps = trail.walk(eps, given, STEPS, 1.0)
    share: float | None = 0.0
    while share is not None and not run.stopped:
        with run.turn(), torch.no_grad():
            share = next(steps, None)
        if share is not None:
            yield share


def shortened(
    found: dict[str, dict[int, Short]], names: list[str], trails: list[Trail], labels: Tensor, seed: int,
    run: Run, session: str,
) -> Iterator[float]:  # fmt: skip
    """What every model draws in few steps, those that learnt from one of them included.

    Fills `found`, a row for every title; yields the share that is done.
    """
    ends = {name: trail.xs[-1] for name, trail in zip(names, trails, strict=True)}
    everyone = [*names, *pupils([trail.spec.name for trail in trails])]
    for place, name in enumerate(everyone):
        yield place / len(everyone)
        with run.turn():
            model, spec = common.obtain(name, session), common.look_up(name, "Samples")
        given = labels if spec.conditional else None
        knob = reversing.knob(spec, "num_steps")
        row = found.setdefault(mine.title(name, spec), {})
        for count in (*FEW, STEPS):
            if run.stopped or knob is None or not (knob.minimum or 0) <= count <= (knob.maximum or 0):
                continue
            with run.turn(), torch.no_grad():
                x, nfe = velocity.drawn(model, spec, labels, seed, NUM_PATHS, count, 1.0)
            end = ends.get(name)
            far = None if end is None else (x - end).square().mean().sqrt().item()
            read = judge.look(x)[1].argmax(1)
            right = None if given is None else (read == given).double().mean().item()
            row[count] = Short(x, nfe, far, right)
            yield (place + min(1.0, 2 * count / STEPS)) / len(everyone)


def pupils(names: list[str]) -> list[str]:
    """Shipped models that learnt from one of these and draw in as many steps as one likes."""
    found = []
    for name in registry.names("Samples"):
        spec = registry.spec(name)
        if spec.starts_from in names and reversing.knob(spec, "num_steps") and registry.shipped(name):
            found.append(name)
    return [name for name in found if name not in names]


@common.guarded
@pieces.settled
def compare(request: gr.Request, first: Any, second: Any, seed: Any) -> Iterator[Any]:
    """Denoise with two models from the same noise, without a label, and measure how well each does."""
    names, seed = _two([first, second], "HasScore"), validation.seed(seed)
    session, throttle = common.session(request), common.Throttle()
    found: list[Denoiser] = []
    with common.RUNS.open(session, KINDS[1], newest=True) as run:
        yield pieces.busy(0.0)
        trails: list[Trail] = []
        for name, spec in names:
            if run.stopped:
                break
            with run.turn():
                trails.append(Trail(common.obtain(name, session), spec))
            for share in walked(trails[-1], None, seed, NUM_PICTURES, run):
                if throttle.due():
                    yield velocity_panel.walking(trails, (share + len(trails) - 1) / 2)
            if not run.stopped:
                found.append(_judged(trails[-1], run))
        if run.superseded:
            yield gr.skip()
        elif run.stopped:
            yield pieces.stopped()
        else:
            yield velocity_panel.compared(found, seed, NUM_TEST)


def _judged(trail: Trail, run: Run) -> Denoiser:
    """Errors on test pictures, and what the classifier says of the drawn ones."""
    images = data.load(trail.spec.dataset, "test").images
    x0 = data.to_float(images[judge.some(len(images), NUM_TEST)])
    eps = velocity.noise_of(trail.spec, NUM_TEST, 0)
    steps, errors = velocity.errors(cast(HasScore, trail.model), x0, eps, TIMES), []
    for _ in TIMES:
        with run.turn():
            errors.append(next(steps))
    with run.turn():
        metrics = judge.quick(trail.xs[-1].clamp(-1, 1))
    return Denoiser(trail.spec, trail, errors, metrics)
