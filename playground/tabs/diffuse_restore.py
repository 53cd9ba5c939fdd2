"""Restore: inverse problems that a trained score solves without being trained for them."""

import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from playground import mending, registry
from playground.locale import both
from playground.mending import Done, Job
from playground.tabs import common, digit_pad, pieces
from playground.tabs import diffuse_lanes as lanes
from playground.tabs.diffuse_restore_panel import answer, done, now
from playground.tabs.diffuse_restore_request import FOR, LIMITS, check
from playground.validation import InvalidInput

SECTION = 30
SECTION_TITLE = "diffuse.restore"
KIND = "diffuse_restore"


def build() -> None:
    """Lay the section out and connect it."""
    common.html(f'<p class="pg-intro">{both("diffuse.restore_intro")}</p>')
    first = start_name()
    task = gr.HTML(
        mending.TASKS[0], html_template=tasks_skeleton(), apply_default_css=False, elem_id="pg-restore-tasks",
        css_template=pieces.page("diffuse_tasks.css"), js_on_load=pieces.page("diffuse_tasks.js"),
    )  # fmt: skip
    with gr.Row():
        with gr.Column(scale=1, min_width=330):
            with gr.Row():
                with gr.Column(min_width=170):
                    pad = digit_pad.pad("pg-restore-pad")
                with gr.Column(min_width=170, elem_classes=["pg-for", "pg-for-inpaint"]):
                    mask = digit_pad.eraser(pad, "pg-restore-eraser")
            with gr.Row(elem_classes="pg-last"):
                run = gr.Button(
                    common.word("diffuse.restore_run"), variant="primary", elem_classes=common.RUN
                )
                halt = gr.Button(common.word("common.stop"), elem_classes=common.STOP, min_width=80)
            name = gr.Dropdown(common.offered("HasScore"), value=first, label=common.word("common.model"))
            label = common.label_choice(registry.spec(first).conditional)
            seed = common.seed_number()
            boxes = [box(key) for key in FOR]
        with gr.Column(scale=2, min_width=320):
            shown = lanes.component("pg-restore", "diffuse.restore_ready")
    run.click(
        mend, [name, task, pad, mask, label, seed, *boxes], shown, concurrency_limit=None,
        trigger_mode="multiple", **common.RAW,
    )  # fmt: skip
    name.change(choose, name, label, queue=False, **common.RAW)
    halt.click(stop, queue=False, **common.PRIVATE)
    common.on_show(refresh, None, name)
    common.api(restore, "restore")


def start_name() -> str:
    """The model that is shown first: one with weights, if there is any."""
    return max(registry.names("HasScore"), key=registry.shipped)


def tasks_skeleton() -> str:
    """A button for every task, and what the chosen one is."""
    buttons = "".join(
        f'<button type="button" data-task="{key}">{both(f"diffuse.task_{key}")}</button>'
        for key in mending.TASKS
    )
    about = "".join(
        f'<p data-about="{key}" hidden>{both(f"diffuse.about_{key}")}</p>' for key in mending.TASKS
    )
    return f'<div class="tasks" role="group">{buttons}</div>{about}'


def box(key: str) -> Any:
    """One number to ask for, which the page shows only for the tasks that it is for."""
    said: dict[str, Any] = {
        "label": common.word(f"diffuse.box_{key}"),
        "elem_classes": ["pg-for", *(f"pg-for-{task}" for task in FOR[key])],
    }
    if key == "factor":
        return gr.Radio([str(factor) for factor in mending.FACTORS], value="4", **said)
    low, high, value, step = LIMITS[key]
    return gr.Slider(low, high, value, step=step, **said)


@common.guarded
def choose(name: Any, request: gr.Request) -> Any:
    """Whether a model takes a label."""
    spec = common.look_up(name, "HasScore")
    return common.label_for(spec)


def refresh(request: gr.Request) -> Any:
    """What can be chosen now, models trained in this page included."""
    return gr.update(choices=common.offered("HasScore", common.session(request)))


@common.guarded
def stop(request: gr.Request) -> None:
    """End this session's work before its next step."""
    common.RUNS.stop(common.session(request), KIND)


@common.guarded
@pieces.settled
def mend(
    request: gr.Request, name: Any, task: Any, pad: Any, mask: Any, label: Any, seed: Any, *boxes: Any
) -> Iterator[Any]:
    """Do the chosen task with the digit of the pad."""
    job = check(name, task, pad, mask, label, seed, dict(zip(FOR, boxes, strict=True)))
    throttle, session, seconds = common.Throttle(), common.session(request), 0.0
    with common.RUNS.open(session, KIND, newest=True) as run:
        yield pieces.busy(0.0)
        with run.turn():
            steps = mending.work(common.obtain(name, session), job)
        item = None
        while not run.stopped and not isinstance(item, Done):
            with run.turn():
                started = time.perf_counter()
                item = next(steps)
                seconds += time.perf_counter() - started
            if not isinstance(item, Done) and throttle.due():
                yield now(job, item)
        if run.superseded:
            yield gr.skip()
        elif isinstance(item, Done):
            yield done(job, item, seconds)
        else:
            yield pieces.stopped()


def restore(
    name: str, task: str = "inpaint", picture: str = "test:0", mask: str = "lower", label: str = "any",
    seed: int = 0, n: int = 4, steps: int = 50, guidance: float = 1.0, factor: int = 4, sigma: float = 0.5,
    strength: float = 0.5, rounds: int = 4, request: gr.Request | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Restore a damaged digit, edit a sketch, invert a digit to its noise, or say how probable it is.

    Args:
        name: of a model with a score, as `/models` lists it.
        task: "inpaint" (RePaint), "super" (super-resolution), "denoise", "sdedit", "invert" (DDIM inversion
            and its round trip) or "likelihood" (bits per dimension).
        picture: "test:0" to "test:9999" (a test digit), or a PNG, JPEG or WebP file as a data URI.
        mask: for "inpaint": "lower", "upper", "right" or "left" (the half to erase), or 784 characters 0
            (erased) and 1 (kept), row by row.
        label: "any" (no label is given), or one, 0 to 9.
        seed: of all noise, 0 to 4294967295.
        n: draws, 1 to 9; for "likelihood" further test digits, 2 to 64.
        steps: of the way back, 1 to 250.
        guidance: of the label, 0 to 6.
        factor: for "super": 2, 4 or 7, the side of the block that becomes one pixel.
        sigma: for "denoise": standard deviation of the noise, 0.05 to 2.
        strength: for "sdedit": 0.05 to 1 of the way to noise.
        rounds: for "inpaint" and "super": how often each step is taken, 1 to 10.
        request: filled in by the server.

    Returns:
        {"png": the result as a data URI, "given": what was left of the picture, "nfe": network evaluations,
        "numbers": what was measured: differences from the original (root mean square of pixels in [-1, 1]),
        classes read before and after, errors of the round trip, or bits per dimension by the probability-flow
        ODE ("flow", dequantised) and by the variational bound ("bound"), of the picture and of n others, each
        of which is given its own label where one is asked for}.
    """
    boxes = {
        "num": n, "others": n, "num_steps": steps, "guidance": guidance, "factor": factor, "sigma": sigma,
        "strength": strength, "rounds": rounds,
    }  # fmt: skip
    job = check(name, task, picture, mask, label, seed, boxes)
    return finished(job, name, common.session(request))


def finished(job: Job, name: str, session: str) -> dict[str, Any]:
    """Do a job to its end, in turn with everyone else's."""
    with common.RUNS.open(session, KIND) as run:
        with run.turn():
            steps = mending.work(common.obtain(name, session), job)
        while not run.stopped:
            with run.turn():
                item = next(steps)
            if isinstance(item, Done):
                return answer(job, item)
    raise InvalidInput("latent.was_stopped")
