"""Reverse: what a model sees in the noise at every step, by two samplers, and where the class is decided."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from playground import race, registry, reversing
from playground.locale import both
from playground.reversing import Way
from playground.spec import ModelSpec
from playground.tabs import common, pieces
from playground.tabs import diffuse_lanes as lanes
from playground.tabs.diffuse_reverse_panel import answer, done, now
from playground.tabs.diffuse_reverse_request import NONE, Asked, check, settings, start_name
from playground.tabs.runs import Run
from playground.validation import InvalidInput

SECTION = 20
SECTION_TITLE = "diffuse.reverse"
KIND = "diffuse_reverse"


def build() -> None:
    """Lay the section out and connect it."""
    common.html(f'<p class="pg-intro">{both("diffuse.reverse_intro")}</p>')
    first = start_name()
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            name = gr.Dropdown(common.offered("Denoises"), value=first, label=common.word("common.model"))
            label = common.label_choice(registry.spec(first).conditional)
            seed = common.seed_number()
            knobs = form(registry.spec(first))
            with gr.Row():
                run = gr.Button(
                    common.word("diffuse.reverse_run"), variant="primary", elem_classes=common.RUN
                )
                halt = gr.Button(common.word("common.stop"), elem_classes=common.STOP, min_width=80)
            common.html(f'<p class="pg-keys">{both("common.keys")}</p>')
        with gr.Column(scale=3, min_width=320):
            shown = lanes.component("pg-reverse", "diffuse.reverse_ready", most=reversing.MAX_FRAMES)
    run.click(
        draw,
        [name, label, seed, *knobs],
        shown,
        concurrency_limit=None,
        trigger_mode="multiple",
        **common.RAW,
    )
    name.change(choose, name, [label, *knobs], queue=False, **common.RAW)
    halt.click(stop, queue=False, **common.PRIVATE)
    common.on_show(refresh, None, name)
    common.api(denoise, "denoise")


def form(spec: ModelSpec) -> list[Any]:
    """The components that steer two samplers, as `settings` sets them."""
    first, second, steps, steps_b, guidance, eta = settings(spec)
    boxes = [
        gr.Dropdown(label=common.word("diffuse.sampler"), **first),
        gr.Slider(label=common.word("diffuse.steps"), **steps),
        gr.Dropdown(label=common.word("diffuse.sampler_b"), **second),
        gr.Slider(label=common.word("diffuse.steps_b"), **steps_b),
    ]
    info = common.word("diffuse.guidance_info")
    boxes.append(gr.Slider(label=common.word("diffuse.guidance"), info=info, **guidance))
    boxes.append(gr.Slider(label=common.word("diffuse.eta"), info=common.word("diffuse.eta_info"), **eta))
    return [boxes[i] for i in (0, 2, 1, 3, 4, 5)]


@common.guarded
def choose(name: Any, request: gr.Request) -> list[Any]:
    """What a model brings along."""
    spec = common.look_up(name, "Denoises")
    label = common.label_for(spec)
    return [label, *(gr.update(**setting) for setting in settings(spec))]


def refresh(request: gr.Request) -> Any:
    """What can be chosen now, models trained in this page included."""
    return gr.update(choices=common.offered("Denoises", common.session(request)))


@common.guarded
def stop(request: gr.Request) -> None:
    """End this session's ways before their next step."""
    common.RUNS.stop(common.session(request), KIND)


@common.guarded
@pieces.settled
def draw(
    request: gr.Request, name: Any, label: Any, seed: Any, first: Any, second: Any, steps: Any, steps_b: Any,
    guidance: Any, eta: Any,
) -> Iterator[Any]:  # fmt: skip
    """Go back by one sampler or by two in turn, from the same noise."""
    spec = common.look_up(name, "Denoises")
    pairs = [(first, steps)] + ([(second, steps_b)] if second not in (None, NONE) else [])
    values = [
        {"sampler": sampler, "num_steps": num, "guidance": guidance, "eta": eta} for sampler, num in pairs
    ]
    known = [{role: v for role, v in one.items() if reversing.knob(spec, role)} for one in values]
    yield from follow(check(name, seed, label, known), common.session(request))


def follow(asked: Asked, session: str) -> Iterator[Any]:
    """Let the ways go on in turn, the one whose clock shows least first, and tell the panel."""
    throttle = common.Throttle()
    with common.RUNS.open(session, KIND, newest=True) as run:
        yield pieces.busy(0.0)
        ways = started(asked, session, run)
        while not run.stopped and (way := race.next_up(ways)):
            with run.turn():
                way.advance()
            if throttle.due():
                yield lanes.live(*now(asked, ways))
        if run.superseded:
            yield gr.skip()
        elif all(one.frames for one in ways):
            yield done(asked, ways, "stopped" if run.stopped else "done")
        else:
            yield pieces.stopped()


def started(asked: Asked, session: str, run: Run) -> list[Way]:
    """The ways, nothing computed yet."""
    with run.turn():
        model = common.obtain(asked.name, session)
        for one in asked.controls:
            reversing.rehearse(model, asked.spec, one)
        return [reversing.start(model, asked.spec, asked.seed, asked.label, one) for one in asked.controls]


def denoise(
    name: str, seed: int = 0, label: str = "any", sampler: str | None = None, steps: int | None = None,
    guidance: float | None = None, eta: float | None = None, request: gr.Request | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Go back from noise to one picture, and say what the model saw on the way.

    Args:
        name: of a model that denoises, as `/models` lists it.
        seed: of the noise, 0 to 4294967295.
        label: "any" (no label is given), or one, 0 to 9, for a model that takes it.
        sampler: one of the model's own, as `/models` lists its first choice; its default if left out.
        steps: how many, within the model's limits; its default if left out.
        guidance: of the label, for a model that has it.
        eta: fresh noise of DDIM, 0 to 1, for a model that has it.
        request: filled in by the server.

    Returns:
        {"png": the picture as a data URI, "films": {"xt", "eps_hat", "x0_hat": strips as data URIs}, "t": of
        their frames, "nfe": network evaluations, 0 if the model does not count, "milliseconds", "classes":
        what the classifier reads in x0_hat at each frame, and "decided_at": the t from which it stays so;
        both null where the model draws no digits}.
    """
    roles = {"sampler": sampler, "num_steps": steps, "guidance": guidance, "eta": eta}
    asked = check(name, seed, label, [roles])
    session = common.session(request)
    with common.RUNS.open(session, KIND) as run:
        (way,) = started(asked, session, run)
        while not way.done and not run.stopped:
            with run.turn():
                way.advance()
    if not way.done:
        raise InvalidInput("latent.was_stopped")
    return answer(asked, way)
