"""Forward: a picture drowns in noise, at every timestep and by three schedules, scrubbed in the page."""

import json
from collections.abc import Iterator
from typing import Any

import gradio as gr
from torch import Tensor

from playground import noising, validation
from playground.locale import both
from playground.nn import randn
from playground.tabs import common, digit_pad, pieces
from playground.tabs import diffuse_panel as panel
from playground.tabs import diffuse_request as asked
from playground.tabs.diffuse_forward_panel import STOPS, films, scene, skeleton, tables, told

SECTION = 10
SECTION_TITLE = "diffuse.forward"
KIND = "diffuse_forward"
NUM_VALUES = 48_000  # that each histogram counts: pixels times copies


def build() -> None:
    """Lay the section out and connect it."""
    common.html(f'<p class="pg-intro">{both("diffuse.forward_intro")}</p>')
    with gr.Row():
        with gr.Column(scale=1, min_width=250):
            pad = digit_pad.pad("pg-forward-pad")
            pick = gr.HTML(
                "", html_template=panel.pick_skeleton(), apply_default_css=False, elem_id="pg-forward-pick",
                css_template=pieces.page("diffuse_pick.css"), js_on_load=pieces.page("diffuse_pick.js"),
            )  # fmt: skip
            seed = common.seed_number()
            with gr.Row():
                run = gr.Button(common.word("diffuse.both_ways"), variant="primary", elem_classes=common.RUN)
                halt = gr.Button(common.word("common.stop"), elem_classes=common.STOP, min_width=80)
        with gr.Column(scale=3, min_width=320):
            shown = gr.HTML(
                json.dumps({"picture": scene(digit_pad.read(pad.value), 0)}), html_template=skeleton(),
                apply_default_css=False, css_template=pieces.page("diffuse_forward.css"),
                js_on_load=pieces.page("diffuse_forward.js"), elem_id="pg-forward", tables=tables(),
            )  # fmt: skip
    pad.input(take_digit, [pad, seed], [pick, shown], **common.LATEST)
    pick.input(look, [pad, pick, seed], shown, **common.LATEST)
    seed.input(look, [pad, pick, seed], shown, **common.LATEST)
    run.click(compare, [pad, pick, seed], shown, concurrency_limit=None, **common.RAW)
    halt.click(stop, queue=False, **common.PRIVATE)
    common.api(noise, "noise")


def chosen(pad: Any, pick: Any) -> Tensor:
    """What the two say together: the colour picture if there is one, otherwise the digit."""
    return asked.picture(pick, colour=True) if pick not in (None, "") else asked.picture(pad)


@common.guarded
def take_digit(pad: Any, seed: Any, request: gr.Request) -> list[Any]:
    """A digit takes the place of a colour picture; while the sheet is empty the picture of before stays."""
    shown = (
        gr.skip()
        if pad in (None, "")
        else json.dumps({"picture": scene(chosen(pad, ""), validation.seed(seed))})
    )
    return ["", shown]


@common.guarded
def look(pad: Any, pick: Any, seed: Any, request: gr.Request) -> str:
    """Another colour picture, or the same picture with other noise."""
    return json.dumps({"picture": scene(chosen(pad, pick), validation.seed(seed))})


@common.guarded
def stop(request: gr.Request) -> None:
    """End this session's comparison before its next step."""
    common.RUNS.stop(common.session(request), KIND)


@common.guarded
@pieces.settled
def compare(request: gr.Request, pad: Any, pick: Any, seed: Any) -> Iterator[Any]:
    """Noise the picture step by step and in one jump, by every schedule, and show where both end."""
    x0, seed = chosen(pad, pick), validation.seed(seed)
    found: dict[str, Any] = {}
    throttle, done = common.Throttle(), 0
    with common.RUNS.open(common.session(request), KIND, newest=True) as run:
        yield pieces.busy(0.0)
        for name in noising.SCHEDULES:
            meetings, steps = [], meet(x0, noising.alphas_cumprod(name), STOPS, seed)
            while not run.stopped:
                with run.turn():
                    meeting = next(steps, None)
                if meeting is None:
                    break
                meetings.append(meeting)
                done += 1
                if throttle.due():
                    yield pieces.busy(done / len(STOPS) / len(noising.SCHEDULES))
            found[name] = told(meetings) | films(x0, name, seed)
        if run.superseded:
            yield gr.skip()
        elif run.stopped:
            yield pieces.stopped()
        else:
            num = f"{meetings[-1].num:,}"
            status = pieces.chip("done") + both("diffuse.ways_status", num=num)
            yield json.dumps({"picture": scene(x0, seed), "status": status, "busy": False, "ways": found})


def meet(x0: Tensor, a: Tensor, stops: list[int], seed: int) -> Iterator[noising.Meeting]:
    """`noising.both_ways` with as many copies as make `NUM_VALUES` values."""
    return noising.both_ways(x0, a, stops, max(2, NUM_VALUES // x0.numel()), asked.rng(seed))


def noise(
    picture: str = "test:0", t: int = 300, schedule: str = "cosine", seed: int = 0, colour: bool = False,
    request: gr.Request | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Noise a picture up to one timestep of a schedule, and compare going step by step with one jump.

    Args:
        picture: "test:0" to "test:9999" (a test digit), "emoji:0" to "emoji:190", or a PNG, JPEG or WebP file
            as a data URI, in which a digit is looked for.
        t: the timestep, 0 to 999.
        schedule: "linear", "cosine" or "sigmoid".
        seed: of the noise, 0 to 4294967295.
        colour: take a file as it is, its middle square at 64 by 64 pixels, instead of looking for a digit.
        request: filled in by the server.

    Returns:
        {"png": x_t as a data URI, "t", "schedule", "beta", "alpha_cumprod", "snr", "log_snr", "histogram":
        shares of the pixel values in 56 bins from -3.5 to 3.5, "distance_from_normal": total variation from a
        standard normal's, "both_ways": {"means", "stds": of step by step and of one jump, "distance": total
        variation of their histograms, "floor": what chance makes of it, "num": values counted}}.
    """
    colour = validation.boolean(colour, validation.Term("diffuse.colour"))
    x0, t, name = asked.picture(picture, colour), asked.timestep(t), asked.schedule(schedule)
    return noised(x0, t, name, validation.seed(seed), common.session(request))


def noised(x0: Tensor, t: int, name: str, seed: int, session: str) -> dict[str, Any]:
    """What the endpoint returns."""
    a = noising.alphas_cumprod(name)
    xt = noising.jump(x0, float(a[t]), randn(x0.shape, asked.rng(seed)))
    with common.RUNS.open(session, KIND) as run, run.turn():
        (meeting,) = meet(x0, a, [t], seed)
    seen = noising.histogram(xt)
    return {
        "png": pieces.address(xt),
        "t": t,
        "schedule": name,
        "beta": float(noising.betas_of(a)[t]),
        "alpha_cumprod": float(a[t]),
        "snr": float(a[t] / (1 - a[t])),
        "log_snr": float(noising.log_snr(a)[t]),
        "histogram": seen.tolist(),
        "distance_from_normal": noising.distance(seen, noising.normal_histogram()),
        "both_ways": {key: getattr(meeting, key) for key in ("means", "stds", "distance", "floor", "num")},
    }
