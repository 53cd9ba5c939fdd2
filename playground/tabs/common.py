"""What every tab needs: words, language, session, errors, throttling, the list of models."""

import functools
import inspect
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import gradio as gr
from gradio.context import Context, LocalContext

from playground import hub, jobs, locale, registry, validation
from playground.locale import Told
from playground.spec import ModelSpec, Words
from playground.tabs import mine
from playground.tabs.runs import REMINDER, Run, Runs, Superseded
from playground.validation import InvalidInput

UPDATES_PER_SECOND = 6
RUN, STOP = ["pg-run"], ["pg-stop"]  # what Ctrl+Enter and Esc press
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
RAW: dict[str, Any] = PRIVATE | {"preprocess": False}
# gradio drops what is clicked while the same event is still under way; these keep the last of it
LATEST: dict[str, Any] = RAW | {"concurrency_limit": None, "trigger_mode": "always_last"}
LIMITS: dict[str, Any] = {  # of gradio's; it keeps a megabyte of every visit, and forgets the oldest
    "max_file_size": "8mb", "max_threads": 400, "state_session_capacity": 1000,
}  # fmt: skip

_LOG = logging.getLogger("playground")
_TABLES: dict[str, dict[str, str]] = {code: {} for code in locale.LANGUAGES}  # what components say
I18N = gr.I18n(en=_TABLES["en"], **{"zh-CN": _TABLES["zh"], "zh-TW": _TABLES["zh"]})


def word(key: str) -> Any:
    """A phrase for a component's label, info, placeholder or value; the browser translates it.

    Only while the page is built: it is sent with the phrases that were asked for by then.
    """
    if key not in locale.table("en"):
        return locale.text(key)
    for code, table in _TABLES.items():
        table[key] = locale.table(code)[key]
    return I18N(key)


def phrase(words: Words) -> Any:
    """Words of a model file, for a component."""
    key = f"words.{words.en}"
    _TABLES["en"][key], _TABLES["zh"][key] = words
    return I18N(key)


def language(request: gr.Request | None) -> str:
    """The language of the page that asks: its cookie, otherwise the browser's; English for programs."""
    if request is None:
        return "en"
    chosen = dict(getattr(request, "cookies", None) or {}).get("playground-language")
    if chosen not in locale.LANGUAGES:
        headers = getattr(request, "headers", None) or {}
        chosen = str(headers.get("accept-language", "en"))[:2].lower()
    return chosen if chosen in locale.LANGUAGES else "en"


def session(request: gr.Request | None) -> str:
    """Who asks: the page's session, or the address of a program without one."""
    if request is None:
        return "local"
    client = getattr(request, "client", None)
    return getattr(request, "session_hash", None) or f"address {getattr(client, 'host', '')}"


def in_line(place: int) -> None:
    """Tell the page whose handler this is that its run waits for a place."""
    code = language(LocalContext.request.get(None))
    inform(locale.text("common.in_line", code, place=place), code, duration=REMINDER)


def inform(sentence: str, code: str, **options: Any) -> None:
    """Show a sentence above the page, from within a handler; `code` is the language of its title."""
    gr.Info(sentence, title=locale.text("common.note", code), **options)


RUNS = Runs(per_session=3, in_all=48, waiting=256, told=in_line)  # each holds one of gradio's threads


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn what a handler raises into a sentence in the reader's language; a superseded one says nothing."""
    signature = inspect.signature(function)

    @contextmanager
    def told(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
        try:
            yield
        except Superseded:
            pass  # the page is the newer run's
        except Exception as error:
            given = signature.bind_partial(*args, **kwargs).arguments.get("request")
            raise refusal(error, language(given)) from error

    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def watch(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            with told(args, kwargs):
                async for value in function(*args, **kwargs):
                    yield value

        return watch

    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def stream(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with told(args, kwargs):
                yield from function(*args, **kwargs)

        return stream

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with told(args, kwargs):
            return function(*args, **kwargs)
        return gr.skip()

    return call


def refusal(error: Exception, code: str) -> gr.Error:
    """An error as the page shows it, which takes it for HTML: what a sentence quotes must not be any."""
    title = locale.text("common.error", code)
    said = sentence(error, code).replace("<", "‹").replace(">", "›")
    return gr.Error(said, title=title, print_exception=False, duration=8)


def sentence(error: Exception, code: str) -> str:
    """What a reader is told about an error."""
    if isinstance(error, Told):
        return error.sentence(code)
    if isinstance(error, gr.Error):
        return error.message
    _LOG.error("A handler failed", exc_info=error)
    return locale.text("common.unexpected", code)


def reason(error: Told) -> str:
    """What was told as HTML, in every language."""
    return locale.spans(Words(*(escape(error.sentence(code)) for code in locale.LANGUAGES)))


def arriving(spec: ModelSpec, run: Run, shown: Callable[[float], Any], stopped: Any) -> Iterator[Any]:
    """A panel while a published model arrives; a stop leaves the download to go on by itself.

    Args:
        spec: of the model.
        run: that waits for it.
        shown: the panel, from the share that is here, 0 to 1.
        stopped: the panel after a stop.

    Raises:
        HubError: if it cannot be had.
    """
    for share in hub.fetch(spec):
        run.touch()
        yield shown(share)
        if run.stopped:
            yield gr.skip() if run.superseded else stopped
            return


def api(function: Callable[..., Any], name: str, **options: Any) -> None:
    """Expose a typed, documented function as the endpoint ``/name``."""
    described = {"api_name": name, "api_description": inspect.getdoc(function)}
    gr.api(guarded(function), **described, concurrency_limit=None, **options)


class Throttle:
    """Lets at most so many moments a second through to the page."""

    def __init__(self, per_second: float = UPDATES_PER_SECOND) -> None:
        """The first `due` is true."""
        self.seconds, self.last = 1 / per_second, float("-inf")

    def due(self) -> bool:
        """Whether it is time for an update; if so the clock starts again."""
        now = time.perf_counter()
        if now - self.last < self.seconds:
            return False
        self.last = now
        return True


def sessions(blocks: gr.Blocks) -> None:
    """How a visit begins and ends.

    For each visitor gradio asks every component for its constructor's signature; it is at hand then, which
    halves the time of the server's that a visit takes to begin.
    """
    for kind in {type(block) for block in blocks.blocks.values()}:
        constructor: Any = kind.__init__
        constructor.__signature__ = inspect.signature(constructor)
    blocks.unload(leave)


def leave(request: gr.Request) -> None:
    """A page was closed: what it still computes is of no use to anyone."""
    RUNS.stop(session(request))


def on_show(function: Callable[..., Any], inputs: Any, outputs: Any) -> None:
    """Call a handler when the tab that is being built is opened: what it offers may have changed."""
    tab = Context.block
    if isinstance(tab, gr.Tab):
        tab.select(function, inputs, outputs, queue=False, **RAW)


def offered(capability: str, owner: str = "") -> list[tuple[str, str]]:
    """(title, name) of every model with a capability, those trained in the session first."""
    own = [mine.MARK + name for name in jobs.trained(owner)]
    kept = [name for name in own if capability in registry.spec(mine.plain(name)).capabilities]
    starred = [(mine.title(name, look_up(name, capability)), name) for name in kept]
    return starred + [(registry.spec(name).title, name) for name in registry.names(capability)]


def look_up(name: Any, capability: str, *, elsewhere: bool = False) -> ModelSpec:
    """The spec behind a model's name from outside; it names the data set that this very model is of.

    ``mine:NAME`` and ``mine:NAME@DATASET`` were trained in the page. Published ones only if `elsewhere`.
    """
    if isinstance(name, str) and mine.is_own(name):
        return mine.look_up(name, capability)
    return validation.model(name, capability, elsewhere=elsewhere)


def look_up_all(names: Any, capability: str, minimum: int, maximum: int) -> list[tuple[str, ModelSpec]]:
    """Several different names from outside, each with its spec; a model and its shipped twin may meet."""
    if not isinstance(names, list | tuple) or not minimum <= len(names) <= maximum:
        got = len(names) if isinstance(names, list | tuple) else validation.shown(names)
        raise InvalidInput("errors.models", minimum=minimum, maximum=maximum, value=got)
    found = [(name, look_up(name, capability)) for name in names]
    for index, (name, _) in enumerate(found):
        if name in [other for other, _ in found[:index]]:
            raise InvalidInput("errors.models_twice", value=name)
    return found


def obtain(name: str, owner: str) -> Any:
    """The model behind a name that `look_up` checked: the session's own, or the shared one, as shipped.

    Raises:
        InvalidInput: if it has no weights, or the session's own is gone.
    """
    if mine.is_own(name):
        return mine.obtain(name, owner)
    if not registry.shipped(name) and registry.spec(name).published is None:
        raise InvalidInput("common.no_weights", model=registry.spec(name).title, name=name)
    return registry.load(name)


def html(value: str, **options: Any) -> gr.HTML:
    """HTML that only our own style sheet touches."""
    return gr.HTML(value, apply_default_css=False, **options)


def heading(key: str) -> gr.HTML:
    """What a screen reader finds a tab by; one who sees has the tab's own name."""
    return html(f"<h2>{locale.both(key)}</h2>", elem_classes="pg-sr")


def seed_number() -> gr.Number:
    """The seed, as every tab asks for it."""
    return gr.Number(
        0,
        label=word("common.seed"),
        precision=0,
        minimum=0,
        maximum=validation.MAX_SEED,
        min_width=150,
    )


def label_choice(interactive: bool = True, key: str = "common.label") -> gr.Radio:
    """The class to draw, under the phrase `key`; the style sheet says "any" in Chinese."""
    return gr.Radio(
        ["any", *map(str, range(10))],
        value="any",
        label=word(key),
        elem_classes="pg-label",
        interactive=interactive,
        min_width=240,
        scale=2,
    )


def label_for(spec: ModelSpec) -> dict[str, Any]:
    """What a model makes of `label_choice`: open where it takes a label, else closed at "any"."""
    return gr.update(interactive=True) if spec.conditional else gr.update(value="any", interactive=False)
