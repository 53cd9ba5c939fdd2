"""VAE: q(z|x) moves while one draws, the bound falls into its two terms, and more codes make it tighter."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from playground import bounds, judge, registry, scoring, validation
from playground.bounds import NUM_WEIGHTS, Estimate, Seen
from playground.locale import both
from playground.spec import ModelSpec
from playground.tabs import common, digit_pad
from playground.tabs import posterior_panel as panel
from playground.tabs.pieces import address, page, settling
from playground.tabs.runs import Run
from playground.validation import InvalidInput

SECTION = 30
SECTION_TITLE = "posterior.title"
KIND, KIND_TIGHT = "posterior", "posterior_tight"
_CHUNK = 50  # codes decoded in one turn at the device


def build() -> None:
    """Lay the section out and connect it."""
    first = start_name()
    common.html(f'<p class="pg-intro">{both("posterior.intro")}</p>')
    style = page("posterior.css")
    with gr.Row():
        with gr.Column(scale=1, min_width=250):
            name = gr.Dropdown(common.offered("HasPosterior"), value=first, label=common.word("common.model"))
            label = common.label_choice(registry.spec(first).conditional)
            pad = digit_pad.pad("pg-posterior-pad", live=True)
        with gr.Column(scale=3, min_width=320):
            shown = gr.HTML(
                "", html_template=panel.skeleton(), apply_default_css=False, css_template=style,
                js_on_load=page("posterior.js"), elem_id="pg-posterior",
            )  # fmt: skip
    intro = f'<p class="pg-intro">{both("posterior.tight_intro")}</p>'
    common.html(f'<h2 class="pg-part">{both("posterior.tight")}</h2>{intro}')
    with gr.Row():
        run = gr.Button(common.word("posterior.measure"), variant="primary", elem_classes=common.RUN)
        halt = gr.Button(common.word("common.stop"), elem_classes=common.STOP, min_width=80)
    tight = gr.HTML(panel.before(), apply_default_css=False, css_template=style, elem_id="pg-posterior-tight")
    inputs = [name, label, pad]
    latest: dict[str, Any] = {"queue": False, "trigger_mode": "always_last", **common.RAW}
    for component in (pad, label):
        component.input(look, inputs, shown, **latest)
    name.input(choose, inputs, [shown, label], **latest)
    measured = run.click(
        measure, inputs, tight, concurrency_limit=None, trigger_mode="multiple", **common.RAW
    )
    # the bound above becomes the measured one
    measured.success(look, inputs, shown, queue=False, **common.RAW)
    halt.click(stop, queue=False, **common.PRIVATE)
    common.on_show(refresh, None, name)
    common.on_show(look, inputs, shown)
    common.api(posterior, "posterior")


def start_name() -> str:
    """The first model with a posterior and weights, or the first of all."""
    names = registry.names("HasPosterior")
    return ([name for name in names if registry.shipped(name)] or names)[0]


def check(name: Any, label: Any) -> tuple[ModelSpec, int | None]:
    """The spec of a model of digits, and the label it is to hold; raises InvalidInput."""
    spec = common.look_up(name, "HasPosterior")
    if spec.dataset != judge.spec().dataset:
        raise InvalidInput("likelihood.not_digits", model=spec.title)
    return spec, validation.label(label, spec)


def read(pad: Any, model: Any) -> Tensor:
    """The digit of a pad or of a program on the grey levels that the model knows."""
    return scoring.on_levels(digit_pad.read(pad), model.levels)


@common.guarded
def look(name: Any, label: Any, pad: Any, request: gr.Request) -> Any:
    """What the model sees in the picture as it now is; while the sheet is empty what was shown stays."""
    spec, label = check(name, label)
    if pad in (None, ""):
        return gr.skip()
    session = common.session(request)
    with common.RUNS.open(session, KIND, newest=True) as run:
        with run.turn():
            model = common.obtain(name, session)
            seen = bounds.look(model, read(pad, model), label)
            order = bounds.informative(model, spec)
        return gr.skip() if run.superseded else panel.bars(seen, spec, order, name)


@common.guarded
def choose(name: Any, label: Any, pad: Any, request: gr.Request) -> list[Any]:
    """Another model, and whether it takes a label."""
    spec = common.look_up(name, "HasPosterior")
    held = label if spec.conditional else "any"
    return [look(name, held, pad, request), gr.update(value=held, interactive=spec.conditional)]


def refresh(request: gr.Request) -> Any:
    """What can be chosen now, models trained in this page included."""
    return gr.update(choices=common.offered("HasPosterior", common.session(request)))


@common.guarded
def stop(request: gr.Request) -> None:
    """End this session's measurement before its next step."""
    common.RUNS.stop(common.session(request), KIND_TIGHT)


@common.guarded
@settling(panel.before)
def measure(name: Any, label: Any, pad: Any, request: gr.Request) -> Iterator[Any]:
    """How tight the bound of this picture is, and which label explains it."""
    spec, label = check(name, label)
    session = common.session(request)
    with common.RUNS.open(session, KIND_TIGHT, newest=True) as run:
        with run.turn():
            model = common.obtain(name, session)
            x = read(pad, model)
            seen = bounds.look(model, x, label)
        yield panel.tight({}, [], None, 0.0)
        parts: list[Tensor] = []
        for part in weigh(model, x, seen, run):
            parts.append(part)
            yield panel.tight({}, [], None, len(parts) * _CHUNK / (NUM_WEIGHTS + _CHUNK))
        if not run.stopped:
            with run.turn():
                seen = bounds.keep(model, seen, torch.cat(parts))
        classes = list(by_label(model, x, run)) if spec.conditional else []
        if run.superseded:
            yield gr.skip()
        elif run.stopped:
            yield panel.before()
        else:
            yield panel.tight(bounds.tightness(torch.cat(parts)), classes, seen.elbo)


def weigh(model: Any, x: Tensor, seen: Seen, run: Run) -> Iterator[Tensor]:
    """`NUM_WEIGHTS` log-weights of the picture, a chunk at a time."""
    x = x.to(judge.device_of(model))
    labels = None if seen.label is None else torch.tensor([seen.label], device=x.device)
    generator = torch.Generator().manual_seed(0)
    for _ in range(NUM_WEIGHTS // _CHUNK):
        if run.stopped:
            return
        with run.turn(), torch.no_grad():
            part = model.log_weights(x, _CHUNK, generator, labels).cpu()
        yield part


def by_label(model: Any, x: Tensor, run: Run) -> Iterator[Estimate]:
    """The bound of the picture for every label, measured where it was."""
    for label in range(10):
        if run.stopped:
            return
        with run.turn():
            found = bounds.look(model, x, label).elbo
        yield found


def posterior(
    name: str, picture: str = "test:0", label: str = "any", request: gr.Request | None = None
) -> dict[str, Any]:
    """Encode a digit with a variational autoencoder: q(z|x), the bound's two terms, and how tight it is.

    Args:
        name: of a model with a posterior, as `/models` lists it.
        picture: "test:0" to "test:9999" (a test digit), or a PNG, JPEG or WebP file as a data URI.
        label: 0 to 9 for a conditional model, or "any": the one that explains the picture best.
        request: filled in by the server.

    Returns:
        {"label", "mu", "std", "kl": nats of every dimension, "log_px": E_q[log p(x|z)] in nats, "elbo": from
        500 codes, "error": its standard error,
        "iwae": {k: L_k} in nats for k up to 500, "bits_per_dim": of the ELBO, "kind": "bound", "num": 1,
        "classes": the ELBO for every label of a conditional model, "png": the reconstruction}.
    """
    spec, wanted = check(name, label)
    session = common.session(request)
    with common.RUNS.open(session, KIND_TIGHT) as run:
        with run.turn():
            model = common.obtain(name, session)
            x = read(picture, model)
            seen = bounds.look(model, x, wanted)
        parts = list(weigh(model, x, seen, run))
        if run.stopped:
            raise InvalidInput("latent.was_stopped")
        with run.turn():
            seen = bounds.keep(model, seen, torch.cat(parts))
        classes = [found.value for found in by_label(model, x, run)] if spec.conditional else []
    if run.stopped:
        raise InvalidInput("latent.was_stopped")
    elbo = seen.elbo
    return {
        "label": seen.label, "mu": seen.mu.tolist(), "std": seen.std.tolist(), "kl": seen.kl.tolist(),
        "log_px": seen.log_px, "elbo": elbo.value, "error": elbo.error,
        "bits_per_dim": scoring.bits_per_dim(elbo.value, x.numel()),
        "iwae": {str(k): value for k, value in bounds.tightness(torch.cat(parts)).items()}, "kind": "bound",
        "num": 1, "classes": classes, "png": address(seen.again),
    }  # fmt: skip
