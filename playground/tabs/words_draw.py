"""Draw: words and a style; every step, who looked at which word, and what the picture resembles."""

import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from playground import data, illustrating, judge, registry, wording
from playground.data.emoji import STYLES
from playground.illustrating import Asked, Film, Verdict
from playground.locale import both
from playground.tabs import common, dropped, pieces, words_panel
from playground.tabs import diffuse_lanes as lanes
from playground.tabs.runs import Run
from playground.tabs.words_request import ANY, FIRST, MAX_CHARACTERS, check, knob, start_name
from playground.validation import InvalidInput

SECTION = 10
SECTION_TITLE = "words.draw"
KIND = "words"


def build() -> None:
    """Lay the section out and connect it."""
    common.html(f'<p class="pg-intro">{both("words.draw_intro")}</p>')
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            prompt = gr.Textbox(
                FIRST[0], label=common.word("words.prompt"), max_lines=2, max_length=MAX_CHARACTERS
            )
            chips = gr.HTML(
                "", html_template=words_panel.chips(), apply_default_css=False, elem_id="pg-words-chips",
                css_template=pieces.page("words_chips.css"), js_on_load=pieces.page("words_chips.js"),
            )  # fmt: skip
            with gr.Row(elem_classes="pg-last"):
                run = gr.Button(common.word("words.run"), variant="primary", elem_classes=common.RUN)
                halt = gr.Button(common.word("common.stop"), elem_classes=common.STOP, min_width=80)
            name, style, boxes = form()
            negative = gr.Textbox(
                "", label=common.word("words.negative"), info=common.word("words.negative_info"), max_lines=1,
                max_length=MAX_CHARACTERS,
            )  # fmt: skip
            common.html(f'<p class="pg-keys">{both("common.keys")}</p>')
        with gr.Column(scale=3, min_width=320):
            shown = lanes.component("pg-words", "words.ready")
            upload, said = dropped.zone("words.restore")
    inputs = [name, prompt, style, *boxes, negative]
    sent: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple"} | common.RAW
    run.click(draw, inputs, shown, **sent)
    prompt.submit(draw, inputs, shown, **sent)
    chips.change(take, chips, prompt, queue=False, **common.RAW).then(draw, inputs, shown, **sent)
    dropped.connect(upload, said, restore, inputs)
    halt.click(stop, queue=False, **common.PRIVATE)
    common.on_show(refresh, None, name)
    common.api(words, "words")


def form() -> tuple[gr.Dropdown, gr.Radio, list[Any]]:
    """What both sections ask for beside words: model, style, and guidance, steps and seed."""
    first = start_name()
    spec = registry.spec(first)
    name = gr.Dropdown(common.offered("FollowsWords"), value=first, label=common.word("common.model"))
    style = gr.Radio(
        [ANY, *STYLES], value=STYLES[0], label=common.word("words.style"), elem_classes="pg-label"
    )
    boxes = [
        gr.Slider(label=common.word("words.guidance"), info=common.word("words.guidance_info"),
                  **knob(spec, "guidance")),
        gr.Slider(label=common.word("diffuse.steps"), **knob(spec, "num_steps")),
        common.seed_number(),
    ]  # fmt: skip
    return name, style, boxes


@common.guarded
def take(prompt: Any, request: gr.Request) -> Any:
    """An example that was clicked goes into the box."""
    return prompt


@common.guarded
def restore(content: Any, request: gr.Request) -> list[Any]:
    """A sentence and the values of all boxes, from a PNG that was downloaded here."""
    asked = dropped.for_words(content)
    said = dropped.sentence("sample.restored", model=asked.spec.title, seed=asked.seed)
    return [said, asked.spec.name, asked.prompt, *values(asked), asked.negative]


def values(asked: Asked) -> list[Any]:
    """What the boxes of `form` below the model hold for a request."""
    knobs = asked.controls
    return [asked.style or ANY, knobs["guidance"], knobs["num_steps"], asked.seed]


def refresh(request: gr.Request) -> Any:
    """What can be chosen now, models trained in this page included."""
    return gr.update(choices=common.offered("FollowsWords", common.session(request)))


@common.guarded
def stop(request: gr.Request) -> None:
    """End this session's drawing before its next step."""
    common.RUNS.stop(common.session(request), KIND)


@common.guarded
@pieces.settled
def draw(
    request: gr.Request, name: Any, prompt: Any, style: Any, guidance: Any, steps: Any, seed: Any,
    negative: Any,
) -> Iterator[Any]:  # fmt: skip
    """Draw what the words say, and tell the panel on the way."""
    asked = check(name, prompt, style, guidance, steps, seed, negative)
    throttle, session, film, seconds = common.Throttle(), common.session(request), Film(), 0.0
    with common.RUNS.open(session, KIND, newest=True) as run:
        yield pieces.busy(0.0)
        with run.turn():
            model = common.obtain(name, session)
            way = illustrating.way(model, asked)
        while not run.stopped:
            with run.turn():
                started = time.perf_counter()
                moment = next(way, None)
                seconds += time.perf_counter() - started
            if moment is None:
                break
            film.add(moment)
            if throttle.due():
                yield words_panel.live(asked, moment)
        if run.superseded:
            yield gr.skip()
        elif not film.moments:
            yield pieces.stopped()
        else:
            read, seen, state = model.words(asked.caption), None, "stopped" if run.stopped else "done"
            if state == "done":
                yield words_panel.done(asked, film, read, seconds, None, "running")
                seen = look(run, asked, film)
            yield gr.skip() if run.superseded else words_panel.done(asked, film, read, seconds, seen, state)


def look(run: Run, asked: Asked, film: Film) -> Verdict | None:
    """What the classifier and the training emoji say of the last picture, if there is a classifier."""
    if not registry.shipped(judge.of(wording.NAMED) or judge.NAME):
        return None
    with run.turn():
        return illustrating.verdict(film.moments[-1].x0_hat, asked, data.load("emoji", "test").classes)


def words(
    name: str, prompt: str, style: str = ANY, guidance: float | None = None, steps: int | None = None,
    seed: int = 0, negative: str = "", request: gr.Request | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Draw an emoji from words, and say what it resembles and who looked at which word.

    Args:
        name: of a model that follows words, as `/models` lists it.
        prompt: English words, at most 15 and 120 characters; emoji in it become their names.
        style: "Noto", "Twemoji" or "any".
        guidance: how much the words are exaggerated, within the model's limits; its default if left out.
        steps: how many, within the model's limits; its default if left out.
        seed: of the noise, 0 to 4294967295.
        negative: words to keep away from, or nothing.
        request: filled in by the server.

    Returns:
        {"png": the picture as a data URI, "film": {"x0_hat", "xt"}: strips of the guess and of the decoded
        latent at each of "steps", "words": as they were read, "attention": for each word 8 rows of 8 shares
        of the last step's attention, "nfe": network evaluations, "category" and "share": what the emoji
        classifier sees and how sure it is, "nearest": training emoji, first the one that the words
        name, then the nearest, each with its "distance": the root mean square of the differences of all
        pixels at 32x32, from 0 (the same picture) to 255}.
    """
    asked = check(name, prompt, style, guidance, steps, seed, negative)
    session, film = common.session(request), Film()
    with common.RUNS.open(session, KIND) as run:
        model = follow(run, name, session, asked, film)
        if run.stopped or not film.moments:
            raise InvalidInput("latent.was_stopped")
        return words_panel.answer(asked, film, model.words(asked.caption), look(run, asked, film))


def follow(run: Run, name: str, session: str, asked: Asked, film: Film) -> Any:
    """Draw to the end, in turn with everyone else, unless it is stopped; returns the model."""
    with run.turn():
        model = common.obtain(name, session)
        way = illustrating.way(model, asked)
    while not run.stopped:
        with run.turn():
            moment = next(way, None)
        if moment is None:
            break
        film.add(moment)
    return model
