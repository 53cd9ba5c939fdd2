"""Latent: what lies between, around and behind the random numbers that a model turns into pictures."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
import torch

from playground import figures, latent, registry, validation
from playground.locale import both
from playground.spec import ModelSpec
from playground.tabs import common, latent_sections, latent_truncation, pieces
from playground.tabs import latent_panel as panel
from playground.tabs.latent_request import MAX_SPREAD, Asked, check, sections, start_name, usual_spread
from playground.validation import InvalidInput, Term

ORDER = 30
TITLE = "latent.title"
KIND = "latent"
MAX_FRAMES, MAX_CELLS = 24, 14
SECTIONS = ("interpolate", "grid", "map", "arithmetic", "directions", "styles", "truncation")
PLANES = ("grid", "map")
DIGITS = [str(digit) for digit in range(10)]


def build() -> None:
    """Lay the tab out and connect it."""
    first = start_name()
    spec = registry.spec(first)
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            name = gr.Dropdown(common.offered("HasLatent"), value=first, label=common.word("common.model"))
            label = common.label_choice(spec.conditional)
            with gr.Row():
                seed = common.seed_number()
                seed_to = seed_of("seed_to", 1)
            spread = gr.Slider(
                0, MAX_SPREAD, usual_spread(spec), step=0.05, label=common.word("latent.spread"),
                info=common.word("latent.spread_info"),
            )  # fmt: skip
            with gr.Row(visible="Encodes" in spec.capabilities) as pads:
                start, end = pad("pad_start"), pad("pad_end")
            common.html(f'<p class="pg-keys">{both("common.keys")}</p>')
        with gr.Column(scale=3, min_width=320):
            nav = gr.HTML(
                navigation(spec), apply_default_css=False, css_template=pieces.page("latent_nav.css"),
                js_on_load=pieces.page("latent_nav.js"), elem_id="pg-latent-nav",
            )  # fmt: skip
            parts = {key: section(key) for key in SECTIONS}
    shared = [name, label, seed, seed_to, spread, start, end]
    for key, (go, inputs, shown) in parts.items():
        go.click(
            drawer(key),
            [*shared, *inputs],
            shown,
            concurrency_limit=None,
            trigger_mode="multiple",
            **common.RAW,
        )
    frames = parts["interpolate"][1][0], parts["grid"][1][0]
    name.change(choose, name, [label, spread, pads, nav, *frames], queue=False, **common.RAW)
    common.on_show(refresh, None, name)
    common.api(interpolate, "interpolate")


def seed_of(key: str, value: int) -> gr.Number:
    """One more seed."""
    return gr.Number(
        value, label=common.word(f"latent.{key}"), precision=0, minimum=0, maximum=validation.MAX_SEED,
        min_width=110,
    )  # fmt: skip


def pad(key: str) -> gr.HTML:
    """A canvas or a file, as a data URI."""
    return gr.HTML(
        "", html_template=panel.pad_skeleton(key), apply_default_css=False,
        elem_id=f"pg-{key.replace('_', '-')}", css_template=pieces.page("latent_pad.css"),
        js_on_load=pieces.page("latent_pad.js") + pieces.page("strokes.js"), min_width=140,
    )  # fmt: skip


def section(key: str) -> tuple[gr.Button, list[Any], gr.HTML]:
    """One section: its own controls, its buttons and its panel."""
    with gr.Column(elem_classes=["pg-latent-part", f"pg-part-{key}"]):
        common.html(f'<p class="pg-intro">{both(f"latent.{key}_intro")}</p>')
        inputs = own_controls(key)
        with gr.Row():
            go = gr.Button(
                common.word("latent.run"), variant="primary", elem_classes=common.RUN, min_width=120
            )
            halt = gr.Button(common.word("common.stop"), elem_classes=common.STOP, min_width=120)
        halt.click(stop, queue=False, **common.PRIVATE)
        kind = "plane" if key in PLANES else "reel"
        ready = both("latent.ready")
        skeleton = (
            panel.plane_skeleton(ready) if kind == "plane" else panel.reel_skeleton(ready, key == SECTIONS[0])
        )
        shown = gr.HTML(
            "", html_template=skeleton, apply_default_css=False,
            css_template=pieces.page(f"latent_{kind}.css"), js_on_load=pieces.page(f"latent_{kind}.js"),
            elem_id=f"pg-latent-{key}",
        )  # fmt: skip
    return go, inputs, shown


def own_controls(key: str) -> list[Any]:
    """What only one section asks for."""
    if key == "interpolate":
        return [gr.Slider(3, MAX_FRAMES, 13, step=1, label=common.word("latent.frames"))]
    if key == "grid":
        with gr.Row():
            return [
                gr.Slider(3, MAX_CELLS, 8, step=1, label=common.word("latent.cells"), min_width=160),
                gr.Radio(["2", "4"], value="4", label=common.word("latent.corners"), min_width=110),
                seed_of("seed_third", 2),
                seed_of("seed_fourth", 3),
            ]
    if key == "arithmetic":
        with gr.Row():
            return [
                gr.Dropdown(DIGITS, value="3", label=common.word("latent.source"), min_width=120),
                gr.Dropdown(DIGITS, value="8", label=common.word("latent.target"), min_width=120),
            ]
    return [common.label_choice(key="latent.label_to")] if key == "styles" else []


def navigation(spec: ModelSpec) -> str:
    """One button for every section that the model allows."""
    keys = sections(spec)
    return "".join(
        f'<button type="button" data-section="{key}">{both(f"latent.{key}")}</button>'
        for key in SECTIONS
        if key in keys
    )


@common.guarded
def choose(name: Any, request: gr.Request) -> list[Any]:
    """What a model brings along."""
    spec = common.look_up(name, "HasLatent")
    label = common.label_for(spec)
    slow = "Denoises" in spec.capabilities
    visible = gr.update(visible="Encodes" in spec.capabilities)
    return [label, usual_spread(spec), visible, navigation(spec), 7 if slow else 13, 4 if slow else 8]


def refresh(request: gr.Request) -> Any:
    """What can be chosen now, models trained in this page included."""
    return gr.update(choices=common.offered("HasLatent", common.session(request)))


@common.guarded
def stop(request: gr.Request) -> None:
    """End this session's work before its next step."""
    common.RUNS.stop(common.session(request), KIND)


def begin(key: str, asked: Asked, own: tuple[Any, ...]) -> Callable[[Any], latent_sections.Section]:
    """A section's work for a checked request, to be given the model; raises InvalidInput."""
    if key not in sections(asked.spec):
        raise InvalidInput("latent.not_here", model=asked.spec.title, section=Term(f"latent.{key}"))
    if key == "interpolate":
        num = validation.integer(own[0], Term("latent.frames"), 3, MAX_FRAMES)
        return lambda model: latent_sections.interpolation(model, asked, num)
    if key == "grid":
        num = validation.integer(own[0], Term("latent.cells"), 3, MAX_CELLS)
        four = validation.choice(own[1], Term("latent.corners"), ("2", "4")) == "4"
        others = (validation.seed(own[2]), validation.seed(own[3])) if four else None
        return lambda model: latent_sections.grid(model, asked, others, num)
    if key == "arithmetic":
        ends = [validation.choice(value, Term("latent.class"), DIGITS) for value in own]
        return lambda model: latent_sections.arithmetic(model, asked, int(ends[0]), int(ends[1]))
    if key == "styles":
        other = validation.label(own[0], asked.spec)
        return lambda model: latent_sections.styles(model, asked, other)
    simple = {"map": latent_sections.chart, "directions": latent_sections.principal}
    simple |= {"truncation": latent_truncation.truncation}
    return lambda model: simple[key](model, asked)


def drawer(key: str) -> Callable[..., Iterator[Any]]:
    """The handler of one section's button."""

    @common.guarded
    @pieces.settled
    def draw(
        request: gr.Request, name: Any, label: Any, seed: Any, seed_to: Any, spread: Any, start: Any,
        end: Any, *own: Any,
    ) -> Iterator[Any]:  # fmt: skip
        encodes = "Encodes" in common.look_up(name, "HasLatent").capabilities
        drawn = (start, end) if encodes else (None, None)  # a hidden pad keeps its picture
        asked = check(name, label, seed, seed_to, spread, *drawn)
        yield from follow(begin(key, asked, own), asked.name, common.session(request))

    return draw


def follow(work: Callable[[Any], latent_sections.Section], name: str, session: str) -> Iterator[Any]:
    """Do a section's work, a step at a time in turn with everyone else's, and tell the panel."""
    throttle = common.Throttle()
    with common.RUNS.open(session, KIND, newest=True) as run:
        yield pieces.busy(0.0)
        with run.turn():
            steps = work(common.obtain(name, session))
        while not run.stopped:
            with run.turn(), torch.no_grad():
                item = next(steps, None)
            if item is None:
                break
            if isinstance(item, str):
                yield item
            elif throttle.due():
                yield pieces.busy(item)
        if run.superseded:
            yield gr.skip()  # gradio sends what came last once more when a generator ends
        elif run.stopped:
            yield pieces.stopped()


def interpolate(
    name: str,
    seed: int = 0,
    seed_to: int = 1,
    label: str = "any",
    frames: int = 9,
    path: str = "slerp",
    spread: float | None = None,
    start: str | None = None,
    end: str | None = None,
    request: gr.Request | None = None,
) -> dict[str, Any]:
    """Walk from one latent to another and measure how evenly the pictures change.

    Args:
        name: of a model with a latent, as `/models` lists it.
        seed: of the first latent, 0 to 4294967295.
        seed_to: of the last one.
        label: "any", or one, 0 to 9, for a model that takes it; it is held all the way. "any" is what the
            first picture among the ends is read as, or what the seed decides.
        frames: how many pictures, 3 to 24.
        path: "slerp" (the great circle) or "lerp" (the straight line).
        spread: 0 to 1.5, multiplies the latents of seeds; by default the model's own.
        start: a PNG, JPEG or WebP as a data URI, encoded in place of the first seed, where the model encodes.
        end: the same for the last one.
        request: filled in by the server.

    Returns:
        {"png": the strip as a data URI, "gif": the film there and back, "label", "steps": changes between
        neighbours in units of two real pictures' mean distance, "path_length": their sum, "unevenness": their
        coefficient of variation, "detour": length over the ends' distance, "seen_by": features or pixels}.
    """
    asked = check(name, label, seed, seed_to, spread, start, end)
    path = validation.choice(path, Term("latent.path"), latent.PATHS)
    num = validation.integer(frames, Term("latent.frames"), 3, MAX_FRAMES)
    return answer(asked, *walked(asked, path, num, common.session(request)))


def walked(asked: Asked, path: str, num: int, session: str) -> tuple[torch.Tensor, latent.Smoothness]:
    """One path's pictures and how evenly they change."""
    with common.RUNS.open(session, KIND) as run:
        with run.turn():
            work = latent_sections.paths(common.obtain(asked.name, session), asked, [path], num)
        while not run.stopped:
            try:
                with run.turn(), torch.no_grad():
                    next(work)
            except StopIteration as over:
                return over.value[0][path][1:]
    raise InvalidInput("latent.was_stopped")


def answer(asked: Asked, x: torch.Tensor, smooth: latent.Smoothness) -> dict[str, Any]:
    """What the endpoint returns."""
    pictures = [figures.grid(one[None]) for one in x]
    return {
        "png": pieces.address(x, len(x)),
        "gif": figures.data_uri(figures.gif(pictures + pictures[-2:0:-1], scale=4), "image/gif"),
        "label": asked.label,
        "steps": list(smooth.steps),
        "path_length": smooth.length,
        "unevenness": smooth.unevenness,
        "detour": smooth.detour if smooth.detour != float("inf") else None,
        "seen_by": smooth.seen_by,
    }
