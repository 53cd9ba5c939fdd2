"""The section of the Compare tab that answers what the playground asks: are GANs obsolete?"""

import html

from playground import verdict
from playground.locale import both, spans
from playground.svg import NUM_COLOURS


def section() -> str:
    """The answer and a card for each family; nothing while no model that speaks for one is measured."""
    findings = verdict.findings()
    if not findings:
        return ""
    answer = verdict.answer()
    said = "" if answer is None else f'<p class="pg-answer">{spans(answer)}</p>'
    cards = "".join(_card(finding, index) for index, finding in enumerate(findings))
    return (
        f'<section class="pg-verdict"><h2>{both("verdict.title")}</h2>{said}'
        f'<div class="pg-families">{cards}</div><p class="pg-note">{both("verdict.note")}</p></section>'
    )


def _card(finding: verdict.Finding, index: int) -> str:
    family, title = spans(finding.family), finding.spec.title
    small = "" if title == finding.family.en else f"<small>{html.escape(title)}</small>"
    return (
        f'<article style="--c:var(--pg-{index % NUM_COLOURS})"><h3>{family}{small}</h3>'
        f"<p>{spans(finding.said)}</p></article>"
    )
