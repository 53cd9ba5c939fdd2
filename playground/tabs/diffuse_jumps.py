"""Jumps: one jump of a GAN, a few that may land in many places, many Gaussian steps, from the same noise."""

from collections.abc import Iterator
from typing import Any, cast

import gradio as gr
from torch import Tensor

from playground import guesses, jumps, race, registry, weights
from playground.locale import both
from playground.spec import Jumps
from playground.tabs import common, digit_pad, mine, pieces
from playground.tabs import diffuse_lanes as lanes
from playground.tabs import jumps_panel as drawn
from playground.tabs import jumps_request as asked
from playground.tabs.runs import Run
from playground.validation import InvalidInput

SECTION = 60
SECTION_TITLE = "jumps.title"
WALK, DRAW = "jumps_walk", "jumps_draw"


def build() -> None:
    """Lay the section out and connect it."""
    common.html(f'<p class="pg-intro">{both("jumps.intro")}</p>')
    with gr.Row():
        names = [
            gr.Dropdown(
                asked.offered(key), value=asked.first(key), label=common.word(f"jumps.way_{key}"),
                min_width=220,
            )
            for key in jumps.KINDS
        ]  # fmt: skip
        seed = common.seed_number()
    build_walk(names, seed)
    few, level = names[jumps.KINDS.index("few")], build_draws(names, seed)
    few.change(levels, [few, level], level, queue=False, **common.RAW)
    common.on_show(refresh, [few, level], [*names, level])
    common.api(behind, "jumps")


def heading(part: str) -> None:
    """The title of a part of the section, and what it is about."""
    intro = f'<p class="pg-intro">{both(f"jumps.{part}_intro")}</p>'
    common.html(f'<h3 class="pg-part">{both(f"jumps.{part}")}</h3>{intro}')


def build_walk(names: list[Any], seed: Any) -> None:
    """The ways from one noise, one step after the other."""
    heading("walk")
    with gr.Row():
        label = common.label_choice()
        steps = gr.Slider(1, asked.MAX_STEPS, 100, step=1, label=common.word("jumps.steps"), min_width=220,
                          info=common.word("jumps.steps_info"))  # fmt: skip
        with gr.Column(scale=1, min_width=200), gr.Row():
            run = gr.Button(common.word("jumps.walk_run"), variant="primary", elem_classes=common.RUN)
            halt = gr.Button(common.word("common.stop"), elem_classes=common.STOP, min_width=80)
    shown = lanes.component("pg-jumps-walk", "jumps.walk_ready")
    many: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple", **common.RAW}
    run.click(walk, [*names, seed, label, steps], shown, **many)
    halt.click(stop_walk, queue=False, **common.PRIVATE)


def build_draws(names: list[Any], seed: Any) -> Any:
    """What may lie behind one noisy picture; returns the slider of the level of noise."""
    heading("draw")
    last = asked.noisiest(cast(Jumps, registry.build(asked.first("few"))))
    with gr.Row():
        with gr.Column(scale=1, min_width=250):
            pad = digit_pad.pad("pg-jumps-pad", first=4)
            level = gr.Slider(1, last, max(1, last - 1), step=1, label=common.word("jumps.level"),
                              info=common.word("jumps.level_info"))  # fmt: skip
            with gr.Row():
                run = gr.Button(common.word("jumps.draw_run"), variant="primary", elem_classes=common.RUN)
                halt = gr.Button(common.word("common.stop"), elem_classes=common.STOP, min_width=80)
        with gr.Column(scale=3, min_width=320):
            shown = gr.HTML(
                drawn.blank(), css_template=drawn.STYLE, apply_default_css=False, elem_id="pg-jumps-behind"
            )
    many: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple", **common.RAW}
    run.click(draw, [*names, pad, level, seed], shown, **many)
    halt.click(stop_draw, queue=False, **common.PRIVATE)
    return level


def refresh(few: Any, level: Any, request: gr.Request) -> list[Any]:
    """What can be chosen now, models trained in this page included; one may have been trained anew.

    A shipped model has the levels that it had when it was chosen: opening the tab loads no weights.
    """
    choices = [gr.update(choices=asked.offered(key, common.session(request))) for key in jumps.KINDS]
    own = isinstance(few, str) and mine.is_own(few)
    return [*choices, levels(few, level, request) if own else gr.skip()]


def levels(name: Any, level: Any, request: gr.Request) -> Any:
    """The levels of noise that the chosen model with few jumps has; where it is gone, drawing says so."""
    try:
        last = asked.last_level(name, common.session(request))
    except (InvalidInput, weights.WeightsError):
        return gr.skip()
    return gr.update(maximum=last, value=max(1, min(level, last)) if isinstance(level, int) else last)


@common.guarded
def stop_walk(request: gr.Request) -> None:
    """End this session's ways before their next step."""
    common.RUNS.stop(common.session(request), WALK)


@common.guarded
def stop_draw(request: gr.Request) -> None:
    """End this session's draws before the next batch."""
    common.RUNS.stop(common.session(request), DRAW)


@common.guarded
@pieces.settled
def walk(
    request: gr.Request, one: Any, few: Any, many: Any, seed: Any, label: Any, num_steps: Any
) -> Iterator[Any]:
    """Let every way go on in turn, the one whose clock shows least first."""
    wish, session = asked.walk(one, few, many, seed, label, num_steps), common.session(request)
    throttle = common.Throttle()
    with common.RUNS.open(session, WALK, newest=True) as run:
        yield pieces.busy(0.0)
        with run.turn():
            models = wish.models.obtain(session)
            walks = [
                jumps.walk(models[key], wish.models.specs[key], wish.seed, wish.label, wish.num_steps)
                for key in jumps.KINDS
            ]
        while not run.stopped and (way := race.next_up(walks)):
            with run.turn():
                way.advance()
            if throttle.due():
                yield drawn.walking(walks)
        if run.superseded:
            yield gr.skip()
        else:
            yield pieces.stopped() if run.stopped else drawn.walked(wish, walks)


@common.guarded
@pieces.settling(drawn.blank)
def draw(
    request: gr.Request, one: Any, few: Any, many: Any, picture: Any, t: Any, seed: Any
) -> Iterator[Any]:
    """Draw what may lie behind one noisy picture, every way in turn."""
    wish, session = asked.guesses(one, few, many, picture, t, seed), common.session(request)
    throttle = common.Throttle(2)
    with common.RUNS.open(session, DRAW, newest=True) as run:
        yield drawn.waiting()
        wish, xt, ways = entered(wish, session, run)
        yield drawn.board(wish, xt, ways, "running")
        for _ in drawing(ways, run):
            if throttle.due():
                yield drawn.board(wish, xt, ways, "running")
        if run.superseded:
            yield gr.skip()
        else:
            yield drawn.board(wish, xt, ways, "stopped" if run.stopped else "done")


def entered(
    wish: asked.AskedGuesses, session: str, run: Run
) -> tuple[asked.AskedGuesses, Tensor, list[guesses.Guesses]]:
    """The request with its level checked, the noisy picture and the ways, nothing drawn yet."""
    with run.turn():
        models = wish.models.obtain(session)
        wish = wish.at(models["few"])
        pairs = {key: (models[key], wish.models.specs[key]) for key in jumps.KINDS}
        return wish, *guesses.enter(pairs, wish.x0, wish.t, wish.seed)


def drawing(ways: list[guesses.Guesses], run: Run) -> Iterator[None]:
    """Let the ways draw in turn until all are done or the run is stopped."""
    while not run.stopped and (way := race.next_up(ways)):
        with run.turn():
            way.advance()
        yield


def behind(
    picture: str = "test:0", t: int = 3, seed: int = 0, one: str | None = None, few: str | None = None,
    many: str | None = None, request: gr.Request | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Make a picture noisy and draw many times what may lie behind it, in one jump and in small steps.

    Args:
        picture: "test:0" to "test:9999" (a test digit), or a PNG, JPEG or WebP file as a data URI.
        t: the level of noise, 1 to the last of the model with few jumps: as many as it was trained for.
        seed: of the noise and of all draws, 0 to 4294967295.
        one: a GAN, which forgets the picture; the first one if left out.
        few: a model with few jumps; the first one if left out.
        many: a diffusion model; the first one if left out.
        request: filled in by the server.

    Returns:
        {"t", "xt": the noisy picture as a data URI, "between": the two digits whose means
        lie at -1 and 1 of the histograms, null if only one was drawn, "limit": where histograms end,
        "finding": what the draws of the large jump are: "several" bumps, "one", "overlooked" (all alike,
        whatever the latent), null where the small steps find no variety either; "ways":
        for each of "one", "few", "bump" (a single Gaussian) and "many" (small steps) {"way", "model", "num",
        "nfe", "milliseconds" of one draw, "digits": draws read as 0 to 9, "bumps" on the line (1 or 2),
        "apart": root mean square distance from their mean, "histogram": shares in 36 bins from -limit to
        limit, "png": the first draws}}.
    """
    session = common.session(request)
    wish = asked.guesses(one, few, many, picture, t, seed)
    with common.RUNS.open(session, DRAW) as run:
        wish, xt, ways = entered(wish, session, run)
        for _ in drawing(ways, run):
            pass
    if run.stopped:
        raise InvalidInput("latent.was_stopped")
    return drawn.answer(wish, xt, ways)
