"""Completion: what is erased of a digit is filled in several times at once, by any model that completes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from playground import judge, race, registry, scoring, validation
from playground.locale import both
from playground.spec import ModelSpec
from playground.tabs import common, digit_pad
from playground.tabs import pixels_panel as panel
from playground.tabs.pieces import chip, cost, page, settling
from playground.validation import InvalidInput, Term

KIND = "pixels_complete"
MAX_DRAWS = 16
_TEMPERATURE = "temperature"


@dataclass(frozen=True)
class Asked:
    """A checked request.

    Attributes:
        name: of the model, as it was asked for.
        spec: its specification.
        x: (1, 1, 28, 28), the digit on the model's grey levels.
        kept: (1, 1, 28, 28), 1 where it is kept.
        label: that is given, or None: an autoregressive model then draws one for each completion from its
            belief in the classes after the kept pixels before the first erased one.
        num: completions.
        knobs: the model's controls.
        seed: of the draws.
    """

    name: str
    spec: ModelSpec
    x: Tensor
    kept: Tensor
    label: int | None
    num: int
    knobs: dict[str, Any]
    seed: int


def build(pad: gr.HTML, label: gr.Radio, temperature: gr.Slider, seed: gr.Number) -> None:
    """The part with the eraser, below the digit that is read."""
    common.html(
        f'<h2 class="pg-part">{both("pixels.complete")}</h2>'
        f'<p class="pg-intro">{both("pixels.complete_intro")}</p>'
    )
    with gr.Row():
        with gr.Column(scale=1, min_width=250):
            name = gr.Dropdown(
                common.offered("Completes"), value=start_name(), label=common.word("common.model")
            )
            mask = digit_pad.eraser(pad, "pg-pixels-eraser")
            num = gr.Slider(1, MAX_DRAWS, 8, step=1, label=common.word("pixels.num_draws"))
            with gr.Row():
                run = gr.Button(
                    common.word("pixels.fill"), variant="primary", elem_classes=common.RUN, min_width=150
                )
                halt = gr.Button(common.word("common.stop"), elem_classes=common.STOP, min_width=80)
        with gr.Column(scale=3, min_width=320):
            shown = gr.HTML(
                panel.fills_ready(), apply_default_css=False, css_template=page("pixels.css"),
                elem_id="pg-pixels-fills",
            )  # fmt: skip
    run.click(
        fill, [name, pad, mask, label, num, temperature, seed], shown, concurrency_limit=None,
        trigger_mode="multiple", **common.RAW,
    )  # fmt: skip
    halt.click(stop, queue=False, **common.PRIVATE)
    common.on_show(refresh, None, name)


def start_name() -> str:
    """A model with weights that completes on two grey levels, which is fastest, if there is one."""
    names = registry.names("Completes")
    return min(names, key=lambda name: (not registry.shipped(name), registry.spec(name).levels))


def refresh(request: gr.Request) -> Any:
    """What can be chosen now, models trained in this page included."""
    return gr.update(choices=common.offered("Completes", common.session(request)))


@common.guarded
def stop(request: gr.Request) -> None:
    """End this session's completions before their next step."""
    common.RUNS.stop(common.session(request), KIND)


def check(name: Any, pad: Any, mask: Any, label: Any, num: Any, temperature: Any, seed: Any) -> Asked:
    """Check a request; raises InvalidInput."""
    spec = common.look_up(name, "Completes")
    if spec.dataset != judge.spec().dataset:
        raise InvalidInput("likelihood.not_digits", model=spec.title)
    seed = validation.seed(seed)
    own = _TEMPERATURE in {control.key for control in spec.controls}
    return Asked(
        name=name,
        spec=spec,
        x=scoring.on_levels(digit_pad.read(pad), spec.levels),
        kept=digit_pad.read_mask(mask),
        label=validation.label(label, spec) if spec.conditional else None,
        num=validation.integer(num, Term("pixels.num_draws"), 1, MAX_DRAWS),
        knobs=validation.controls(spec, {_TEMPERATURE: temperature} if own else {}),
        seed=seed,
    )


@common.guarded
@settling(panel.fills_ready)
def fill(
    name: Any, pad: Any, mask: Any, label: Any, num: Any, temperature: Any, seed: Any, request: gr.Request
) -> Iterator[Any]:
    """Fill in what is erased, every draw at the same time, and say how likely each result is."""
    asked = check(name, pad, mask, label, num, temperature, seed)
    session, throttle = common.session(request), common.Throttle()
    with common.RUNS.open(session, KIND, newest=True) as run:
        yield panel.completions(asked.x, asked.kept, None, chip("running"))
        with run.turn():
            model = common.obtain(asked.name, session)
        racer, draws = race.Racer(asked.name, begin(model, asked), asked.num), None
        while not racer.done and not run.stopped:
            with run.turn():
                racer.advance()
            if racer.last is None:
                continue
            draws = racer.last.x.cpu()
            if throttle.due():
                said = both("pixels.filling", step=racer.last.step, num_steps=racer.last.num_steps)
                yield panel.completions(asked.x, asked.kept, draws, f"{chip('running')}<span>{said}</span>")
        race.close(racer.steps)
        if run.superseded:
            yield gr.skip()
            return
        nats = None
        if draws is not None and not run.stopped and exact(asked.spec):
            with run.turn():
                nats = likelihoods(model, asked, draws)
        state = chip("stopped" if run.stopped else "done")
        said = both("pixels.filled_by", model=asked.spec.title)
        if racer.last is not None:
            said += f" · {cost(racer.last.nfe, racer.seconds, asked.num)}"
        yield panel.completions(asked.x, asked.kept, draws, f"{state}<span>{said}</span>", nats)


def begin(model: Any, asked: Asked) -> Any:
    """The steps of all completions together."""
    where, size = judge.device_of(model), (asked.num, -1, -1, -1)
    labels = None if asked.label is None else torch.full((asked.num,), asked.label, device=where)
    return model.complete(
        asked.x.to(where).expand(size), asked.kept.to(where).expand(size), labels=labels,
        generator=torch.Generator().manual_seed(asked.seed), **asked.knobs,
    )  # fmt: skip


def exact(spec: ModelSpec) -> bool:
    """Whether the model can say exactly how likely its completions are."""
    return "HasLikelihood" in spec.capabilities and scoring.kind(spec) == "exact"


def likelihoods(model: Any, asked: Asked, draws: Tensor) -> list[float]:
    """Log p(x), or log p(x | y) for a given label, of every completion, in nats."""
    labels = None if asked.label is None else torch.full((len(draws),), asked.label)
    return scoring.log_prob(model, draws, labels).tolist()
