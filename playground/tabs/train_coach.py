"""The coach's place in the Train tab: what it says of the run, on what evidence, and a button per remedy.

The component's value is JSON; its script changes the page only where something changed, so that a button
under the pointer is never replaced. The place is there from the start, and does not shrink during a training.
"""

import json
from collections.abc import Mapping
from typing import Any

from playground import coach, locale
from playground.coach import Advice
from playground.job import JobView
from playground.locale import both
from playground.spec import ModelSpec
from playground.tabs.pieces import page
from playground.tabs.train_charts import reading
from playground.tabs.train_panel import named

STYLE = page("train_coach.css")
SCRIPT = page("train_coach.js")
SKELETON = (
    f'<section class="coach"><p class="quiet">{both("train.coach_waits")}</p>'
    '<div class="items"></div><div class="about"></div></section>'
)


def advices(view: JobView) -> tuple[Advice, ...]:
    """What the coach says of a job now; nothing before its first update."""
    if view.event is None:
        return ()
    since = view.changes[-1][0] if view.changes else 0
    return coach.advise(view.request.spec, view.switches, view.losses, since)


def value(view: JobView) -> str:
    """What the component shows; an empty text leaves it quiet."""
    items = [
        {
            "key": advice.key, "level": advice.level, "words": _words(advice),
            "evidence": _evidence(advice), "button": _button(advice.changes, view.request.spec),
        }
        for advice in advices(view)
    ]  # fmt: skip
    family = f"coach.about.{coach.family(view.request.spec)}"
    about = ""
    if family in locale.table("en"):
        about = f"<details><summary>{both('train.coach_about')}</summary><p>{both(family)}</p></details>"
    return json.dumps({"items": items, "about": about}) if items else ""


def _words(advice: Advice) -> str:
    """Level, title, and the three sentences: what is seen, why, what to try."""
    parts = {part: both(f"coach.{advice.key}.{part}") for part in ("title", "seen", "why", "try")}
    return (
        f'<h4><span class="level">{both(f"train.level.{advice.level}")}</span>{parts["title"]}</h4>'
        f"<p>{parts['seen']} {parts['why']}</p><p>{parts['try']}</p>"
    )


def _evidence(advice: Advice) -> str:
    """The numbers, each with what it was held against."""
    return "".join(reading(name, value, advice.limits.get(name, "")) for name, value in advice.evidence)


def _button(changes: Mapping[str, Any], spec: ModelSpec) -> str:
    if not changes:
        return ""
    return f"{both('train.apply_advice')} <b>{named(changes, spec)}</b>"
