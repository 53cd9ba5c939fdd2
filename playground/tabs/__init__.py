"""The tabs, one file each; only here and in ``app.py`` is gradio imported.

How a tab is made:

* A module ``tabs/NAME.py`` with ``ORDER`` (its place, an int), ``TITLE`` (a key of ``locale/``) and
  ``build()``. `modules` finds it; no list of tabs exists. ``app.py`` calls ``build()`` inside its
  ``gr.Tab``.
* Words live in ``locale/LANGUAGE/NAME.json`` under keys that start with ``NAME.``. Three ways to say one:
  ``common.word(key)`` for a component's label, info, placeholder or value (gr.I18n: the browser translates
  it, at first paint and when the language is switched; a choice is a pair of the word and its value);
  ``locale.both(key, **params)`` inside HTML drawn by the server (it holds both languages, the style sheet
  shows one, so nothing is drawn again); ``locale.text(key, language, **params)`` for plain text such as
  errors. `Words` of a model file go through ``common.phrase(words)`` and ``locale.spans(words)``.
* A handler takes ``request: gr.Request`` (gradio fills it in): ``common.language(request)`` is the page's
  language (a cookie, otherwise Accept-Language), ``common.session(request)`` its session. Nothing else
  travels.
* Handlers are plain functions or generators under ``@common.guarded``: a refusal (InvalidInput,
  WeightsError, ...) becomes one sentence in the reader's language, anything else one neutral sentence and a
  line in the log.
* Events of components are registered with ``**common.RAW`` (hidden; gradio passes the values on unchecked,
  so that every refusal is ours, in the reader's language) or, where gradio must read a file,
  ``**common.PRIVATE``; a tab's main action has its own typed and documented function, registered with
  ``common.api(function, name)``. Events that compute nothing add ``queue=False``, unless they may refuse
  what a reader gave: the page shows no refusal of an unqueued event.
* Whatever computes does so in ``with common.RUNS.open(session, kind) as run`` (a session may hold a few; it
  waits there in line where the machine is full, and the page is told its place), takes ``with run.turn()``
  for every step (sessions alternate, first come first served) and leaves its loop when ``run.stopped``; a
  Stop button calls ``common.RUNS.stop(session, kind)`` with ``queue=False``.
* The button that runs has ``elem_classes=common.RUN``, the one that stops ``common.STOP``: Ctrl+Enter and
  Esc press the visible one.
* A live panel is one ``gr.HTML`` of a reserved height, at most `common.UPDATES_PER_SECOND` updates a second
  (`common.Throttle`).
* Models trained in the page (``jobs.trained(session)``) are offered as ``mine:NAME`` by `common.offered`,
  refreshed with `common.on_show`; `common.look_up` gives the spec with the data set they were trained on.
"""

import importlib
import pkgutil
from types import ModuleType


def modules() -> list[ModuleType]:
    """The modules of this package that are tabs, in their order."""
    found = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
    return sorted((m for m in found if hasattr(m, "TITLE")), key=lambda m: m.ORDER)


def sections(prefix: str) -> list[ModuleType]:
    """The modules ``PREFIX_*.py`` of this package that are sections of the tab ``PREFIX.py``, in their order.

    A section is made like a tab, with ``SECTION`` in place of ORDER and ``SECTION_TITLE`` in place of TITLE.
    """
    names = [m.name for m in pkgutil.iter_modules(__path__) if m.name.startswith(f"{prefix}_")]
    found = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return sorted((m for m in found if hasattr(m, "SECTION_TITLE")), key=lambda m: m.SECTION)
