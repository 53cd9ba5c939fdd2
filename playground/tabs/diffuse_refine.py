"""Refine: pictures of another model, noised a little and denoised, judged before and after."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
import torch

from playground import judge, refining, registry, validation
from playground.coach import GAMES
from playground.locale import both
from playground.refining import Refined
from playground.spec import ModelSpec, SampleStep
from playground.tabs import common, mine, pieces
from playground.tabs import diffuse_lanes as lanes
from playground.tabs.diffuse_restore_panel import sheet
from playground.validation import InvalidInput, Term

SECTION = 40
SECTION_TITLE = "diffuse.refine"
KIND = "diffuse_refine"
MAX_NUM = 64
METRICS = ("precision", "coverage", "confidence", "class_entropy", "label_accuracy")


@dataclass(frozen=True)
class Asked:
    """A checked request.

    Attributes:
        source: the model that draws, as it was asked for.
        spec: its specification.
        refiner: the model with a score, as it was asked for.
        seed: of everything random.
        num: pictures.
        strength: share of the way to noise.
    """

    source: str
    spec: ModelSpec
    refiner: str
    seed: int
    num: int
    strength: float


def build() -> None:
    """Lay the section out and connect it."""
    common.html(f'<p class="pg-intro">{both("diffuse.refine_intro")}</p>')
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            source = gr.Dropdown(sources(), value=start_name(), label=common.word("diffuse.source"))
            refiner = gr.Dropdown(
                common.offered("HasScore"), value=max(registry.names("HasScore"), key=registry.shipped),
                label=common.word("diffuse.refiner"),
            )  # fmt: skip
            strength = gr.Slider(0.05, 1, 0.4, step=0.05, label=common.word("diffuse.box_strength"))
            count = gr.Slider(4, MAX_NUM, 36, step=1, label=common.word("common.count"))
            seed = common.seed_number()
            with gr.Row():
                run = gr.Button(common.word("diffuse.refine_run"), variant="primary", elem_classes=common.RUN)
                halt = gr.Button(common.word("common.stop"), elem_classes=common.STOP, min_width=80)
        with gr.Column(scale=3, min_width=320):
            shown = lanes.component("pg-refine", "diffuse.refine_ready")
    run.click(
        refine, [source, refiner, strength, count, seed], shown, concurrency_limit=None,
        trigger_mode="multiple", **common.RAW,
    )  # fmt: skip
    halt.click(stop, queue=False, **common.PRIVATE)
    common.on_show(refresh, None, [source, refiner])


def sources(owner: str = "") -> list[tuple[str, str]]:
    """(title, name) of every model that draws what the classifier can judge, and not by denoising itself."""
    found = []
    for title, name in common.offered("Samples", owner):
        spec = common.look_up(name, "Samples")
        if spec.dataset == judge.spec().dataset and "Denoises" not in spec.capabilities:
            found.append((title, name))
    return found


def start_name() -> str:
    """The model that is shown first: the coarsest shipped GAN, for its pictures leave most to be refined."""

    def coarse(name: str) -> tuple[bool, bool, float]:
        shipped = registry.shipped(name)
        fid = registry.card(name)["metrics"].get("fid", {}) if shipped else {}
        return registry.spec(name).family in GAMES, shipped, fid.get("times_floor", 0.0)

    return max((name for _, name in sources()), key=coarse)


def refresh(request: gr.Request) -> list[Any]:
    """What can be chosen now, models trained in this page included."""
    owner = common.session(request)
    return [gr.update(choices=sources(owner)), gr.update(choices=common.offered("HasScore", owner))]


@common.guarded
def stop(request: gr.Request) -> None:
    """End this session's work before its next step."""
    common.RUNS.stop(common.session(request), KIND)


def check(source: Any, refiner: Any, strength: Any, num: Any, seed: Any) -> Asked:
    """Check a request; raises InvalidInput."""
    spec, score = common.look_up(source, "Samples"), common.look_up(refiner, "HasScore")
    if spec.dataset != judge.spec().dataset or "Denoises" in spec.capabilities:
        raise InvalidInput("diffuse.bad_source", model=spec.title)
    if score.dataset != spec.dataset:
        raise InvalidInput("diffuse.no_digits", model=score.title)
    share = validation.number(strength, Term("diffuse.box_strength"), 0.05, 1)
    return Asked(source, spec, refiner, validation.seed(seed), validation.count(num, 4, MAX_NUM), share)


@common.guarded
@pieces.settled
def refine(
    request: gr.Request, source: Any, refiner: Any, strength: Any, num: Any, seed: Any
) -> Iterator[Any]:
    """Draw with one model, refine with another, judge both by the same numbers."""
    asked, session = check(source, refiner, strength, num, seed), common.session(request)
    throttle, item, seconds = common.Throttle(), None, 0.0
    with common.RUNS.open(session, KIND, newest=True) as run:
        yield pieces.busy(0.0)
        with run.turn():
            models = common.obtain(asked.source, session), common.obtain(asked.refiner, session)
            steps = refining.refine(models[0], asked.spec, models[1], asked.strength, asked.num, asked.seed)
        while not run.stopped and not isinstance(item, Refined):
            with run.turn(), torch.no_grad():
                started = time.perf_counter()
                item = next(steps)
                spent = time.perf_counter() - started
            if isinstance(item, SampleStep):  # judging at the end is not the refinement's time
                seconds += spent
                if throttle.due():
                    yield now(asked, item)
        if run.superseded:
            yield gr.skip()
        elif isinstance(item, Refined):
            yield done(asked, item, seconds)
        else:
            yield pieces.stopped()


def now(asked: Asked, moment: SampleStep) -> str:
    """While it is computed."""
    row = lanes.row(both("diffuse.row_now"), [sheet(moment.x.clamp(-1, 1).cpu())], wide=True)
    share = both("latent.share", percent=round(100 * moment.step / moment.num_steps))
    return lanes.live([lanes.lane(title(asked), [row])], share)


def title(asked: Asked) -> str:
    """Who draws and who refines."""
    refiner = registry.spec(mine.plain(asked.refiner)).title
    return both("diffuse.refine_title", source=asked.spec.title, refiner=refiner)


def done(asked: Asked, found: Refined, seconds: float) -> str:
    """Before and after, and the same numbers of both."""
    rows = [
        lanes.row(both("diffuse.row_before"), [sheet(found.before)], wide=True),
        lanes.row(both("diffuse.row_after"), [sheet(frame) for frame in found.frames], wide=True),
    ]
    status = both("diffuse.refine_status", num=asked.num, strength=f"{asked.strength:g}", seed=asked.seed)
    said = both(
        "diffuse.note_refine", moved=f"{found.moved:.3f}", kept=f"{found.kept:.0%}", nfe=found.nfe,
        num=asked.num,
    )  # fmt: skip
    heads = ("diffuse.head_metric", "diffuse.head_before", "diffuse.head_after", "diffuse.head_real")
    note = pieces.table(heads, numbers(found))
    each = pieces.cost(found.nfe, seconds, asked.num)
    return lanes.final(
        [lanes.lane(title(asked), rows, each)], found.marks, status, note=f"{note}<p>{said}</p>"
    )


def numbers(found: Refined) -> list[list[str]]:
    """Every metric that both have, before and after, and what real pictures get where that is known."""
    rows = []
    for key in METRICS:
        entries = [metrics.get(key) for metrics in found.metrics]
        if entries[0] is None or entries[1] is None:
            continue
        bits = entries[0].get("unit") == "bits"
        values = [f"{e['value']:.2f}" if bits else f"{e['value']:.0%}" for e in entries if e]
        best = entries[0].get("max" if bits else "ideal")
        real = pieces.DASH if best is None else f"{best:.2f}" if bits else f"{best:.0%}"
        rows.append([both(f"diffuse.metric_{key}"), *(f"<b>{value}</b>" for value in values), real])
    return rows
