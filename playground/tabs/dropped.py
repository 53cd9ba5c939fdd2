"""PNGs that were downloaded here and are dropped again: the request inside, for whichever tab it is."""

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from playground import figures, validation
from playground.illustrating import Asked
from playground.locale import both
from playground.tabs import common
from playground.tabs.words_request import ANY, check
from playground.validation import InvalidInput


def zone(label: str, elem_id: str | None = None) -> tuple[gr.File, gr.HTML]:
    """Where a PNG is dropped, and what is then said (`elem_id`); `label` is the key of a phrase."""
    upload = gr.File(label=common.word(label), file_types=[".png"], type="binary", height=150)
    return upload, common.html("", elem_id=elem_id)


def connect(upload: gr.File, said: gr.HTML, handler: Callable[..., list[Any]], inputs: list[Any]) -> None:
    """Fill a sentence and all inputs from what `handler` finds in a PNG.

    What is said is true of the inputs as they then are: another file, or a hand on one of them, wipes it.
    """
    stale = [upload.upload, upload.clear, *(part.input for part in inputs if hasattr(part, "input"))]
    gr.on(stale, None, None, said, js="() => ''", queue=False, **common.PRIVATE)
    sent: dict[str, Any] = {"concurrency_limit": None, "api_name": "recall"} | common.PRIVATE
    upload.upload(handler, upload, [said, *inputs], **sent)


def sentence(key: str, **params: Any) -> str:
    """A phrase as it stands below a zone."""
    return f'<p class="pg-keys" role="status">{both(key, **params)}</p>'


def request_in(content: Any) -> dict[str, Any]:
    """The request inside a PNG, unchecked; raises InvalidInput if there is none."""
    validation.png(content)
    try:
        return figures.read_request(bytes(content))
    except figures.NoRequest as error:
        raise InvalidInput("sample.no_request") from error


def for_sample(content: Any) -> dict[str, Any]:
    """What the Sample tab can draw again, its values unchecked: a picture of the Words tab is one of them.

    Raises:
        InvalidInput: if the file holds no request, or one that only another tab can answer.
    """
    found = request_in(content)
    if "route" in found:
        raise InvalidInput("sample.of_translate")
    if "prompt" not in found:
        return found
    asked = _of_words(found)
    if asked.negative or asked.other:
        raise InvalidInput("sample.of_words")
    controls = asked.controls | {"prompt": asked.caption}
    return {"model": asked.spec.name, "seed": asked.seed, "label": None, "n": 1, "controls": controls}


def for_words(content: Any, between: bool = False) -> Asked:
    """What the Words tab can draw again, checked: one picture, or those between two prompts.

    Raises:
        InvalidInput: if the file holds no request, one of another tab, or one of the tab's other section.
    """
    found = request_in(content)
    if "prompt" not in found:
        raise InvalidInput("words.of_another")
    asked = _of_words(found)
    if bool(asked.other) != between:
        raise InvalidInput("words.of_between" if asked.other else "words.of_draw")
    return asked


def _of_words(found: Mapping[str, Any]) -> Asked:
    controls = found.get("controls")
    knobs = controls if isinstance(controls, Mapping) else {}
    return check(
        found.get("model"), found["prompt"], found.get("style") or ANY, knobs.get("guidance"),
        knobs.get("num_steps"), found.get("seed"), found.get("negative"), other=found.get("other"),
        num=found.get("n", 1),
    )  # fmt: skip
