"""Between: the pictures that lie between two prompts, all drawn from the same noise."""

import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from playground import illustrating
from playground.illustrating import Film
from playground.locale import both
from playground.tabs import common, dropped, pieces, words_panel
from playground.tabs import diffuse_lanes as lanes
from playground.tabs.words_draw import follow, form, values
from playground.tabs.words_request import ANY, FIRST, MAX_BETWEEN, MAX_CHARACTERS, check
from playground.validation import InvalidInput

SECTION = 20
SECTION_TITLE = "words.between"
KIND = "words_between"


def build() -> None:
    """Lay the section out and connect it."""
    common.html(f'<p class="pg-intro">{both("words.between_intro")}</p>')
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            prompt, other = (
                gr.Textbox(text, label=common.word(key), max_lines=1, max_length=MAX_CHARACTERS)
                for text, key in zip(FIRST, ("words.first", "words.other"), strict=True)
            )
            with gr.Row(elem_classes="pg-last"):
                run = gr.Button(common.word("words.between_run"), variant="primary", elem_classes=common.RUN)
                halt = gr.Button(common.word("common.stop"), elem_classes=common.STOP, min_width=80)
            num = gr.Slider(3, MAX_BETWEEN, 7, step=1, label=common.word("words.number"))
            name, style, boxes = form()
        with gr.Column(scale=3, min_width=320):
            shown = lanes.component("pg-words-way", "words.between_ready")
            upload, said = dropped.zone("words.restore")
    inputs = [name, prompt, other, num, style, *boxes]
    run.click(
        walk, inputs, shown, concurrency_limit=None, trigger_mode="multiple", **common.RAW,
    )  # fmt: skip
    dropped.connect(upload, said, restore, inputs)
    halt.click(stop, queue=False, **common.PRIVATE)
    common.api(words_between, "words_between")


@common.guarded
def stop(request: gr.Request) -> None:
    """End this session's walk before its next step."""
    common.RUNS.stop(common.session(request), KIND)


@common.guarded
def restore(content: Any, request: gr.Request) -> list[Any]:
    """A sentence and the values of all boxes, from a PNG that was downloaded here."""
    asked = dropped.for_words(content, between=True)
    said = dropped.sentence("sample.restored", model=asked.spec.title, seed=asked.seed)
    return [said, asked.spec.name, asked.prompt, asked.other, asked.num, *values(asked)]


@common.guarded
@pieces.settled
def walk(
    request: gr.Request, name: Any, prompt: Any, other: Any, num: Any, style: Any, guidance: Any, steps: Any,
    seed: Any,
) -> Iterator[Any]:  # fmt: skip
    """Draw all pictures between the two at once, and tell the panel on the way."""
    asked = check(name, prompt, style, guidance, steps, seed, "", other=other or "", num=num)
    throttle, session, moment, seconds = common.Throttle(), common.session(request), None, 0.0
    with common.RUNS.open(session, KIND, newest=True) as run:
        yield pieces.busy(0.0)
        with run.turn():
            way = illustrating.way(common.obtain(name, session), asked)
        while not run.stopped:
            with run.turn():
                started = time.perf_counter()
                now = next(way, None)
                seconds += time.perf_counter() - started
            if now is None:
                break
            moment = now
            if throttle.due():
                yield words_panel.live(asked, moment)
        if run.superseded:
            yield gr.skip()
        elif moment is None:
            yield pieces.stopped()
        else:
            yield words_panel.between(asked, moment, seconds, "stopped" if run.stopped else "done")


def words_between(
    name: str, prompt: str, other: str, n: int = 7, style: str = ANY, guidance: float | None = None,
    steps: int | None = None, seed: int = 0, request: gr.Request | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Draw the pictures that lie between two prompts, from the same noise.

    Args:
        name: of a model that follows words, as `/models` lists it.
        prompt: the first, English words, at most 15 and 120 characters.
        other: the second, likewise.
        n: pictures, 2 to 9, the two ends included.
        style: "Noto", "Twemoji" or "any".
        guidance: how much the words are exaggerated, within the model's limits; its default if left out.
        steps: how many, within the model's limits; its default if left out.
        seed: of the noise, 0 to 4294967295.
        request: filled in by the server.

    Returns:
        {"png": the pictures side by side as a data URI, "mix": the share of the second prompt in each, "nfe":
        network evaluations for each}.
    """
    asked = check(name, prompt, style, guidance, steps, seed, "", other=other or "", num=n)
    session, film = common.session(request), Film()
    with common.RUNS.open(session, KIND) as run:
        follow(run, name, session, asked, film)
        if run.stopped or not film.moments:
            raise InvalidInput("latent.was_stopped")
    last, top = film.moments[-1], asked.num - 1
    mix = [round(i / top, 4) for i in range(asked.num)]
    return {"png": pieces.address(last.x0_hat, asked.num), "mix": mix, "nfe": last.nfe}
