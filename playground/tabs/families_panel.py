"""The HTML of the section that gives one digit to every family: a card for each, and why it can or cannot."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from playground import families, figures, scoring, svg
from playground.families import Attempt
from playground.locale import both
from playground.spec import ModelSpec
from playground.tabs.pieces import DASH, number, page, spoken

STYLE = page("families.css")


@dataclass
class Card:
    """One model on the board.

    Attributes:
        title: as the drop-down has it.
        spec: of the model.
        colour: in the palette.
        attempt: what it does; None before it is loaded, or where it has no weights.
        state: ``ready``, ``waiting``, ``running``, ``done``, ``stopped`` or ``absent``.
        note: HTML, why it is absent.
        shown: its pictures as they were last drawn, so that those of a card that is done are drawn once.
    """

    title: str
    spec: ModelSpec
    colour: int
    attempt: Attempt | None = None
    state: str = "ready"
    note: str = ""
    shown: str = ""


def board(
    cards: Sequence[Card], state: str, x: Tensor | None = None, read: tuple[int, float] | None = None
) -> str:
    """All cards under one line that says what was given.

    Args:
        cards: in order.
        state: ``ready``, ``running``, ``done`` or ``stopped``.
        x: (1, 1, 28, 28), the digit.
        read: what the classifier sees in it, and how sure it is.
    """
    chip = f'<span class="pg-chip pg-{state}">{both(f"families.{state}")}</span>'
    given = ""
    if x is not None and read is not None:
        said = both("families.given", label=read[0], sure=f"{read[1]:.0%}")
        given = f"{_image(x, 'families.yours', 'small')}<span>{said}</span>"
    done = both("families.count", num=sum(card.state == "done" for card in cards), total=len(cards))
    status = f'<div class="pg-status">{chip}{given}<span>{done}</span></div>'
    return f'<div class="families">{status}<div class="cards">{"".join(map(_card, cards))}</div></div>'


def _image(x: Tensor, key: str, kind: str) -> str:
    """Pictures (B, C, H, W) as one image with what it is."""
    address = figures.png_data_uri(figures.grid(x, gap=1 if len(x) > 1 else 0))
    return f'<img class="{kind}" src="{address}" alt="{spoken(key)}">'


def _card(card: Card) -> str:
    how = families.approach(card.spec)
    head = (
        f"<header><h3>{html.escape(card.title)}</h3>"
        f'<span class="pg-dim">{both(f"families.family_{card.spec.family}")} · {card.spec.year}</span>'
        f'<span class="state pg-dim">{both(f"families.{card.state}")}</span></header>'
    )
    style = f"--c:var(--pg-{card.colour % svg.NUM_COLOURS})"
    if card.state == "absent":
        return f'<article class="absent" style="{style}">{head}<p class="pg-dim">{card.note}</p></article>'
    percent = round(100 * _share(card))
    label = spoken("families.progress", model=card.title)
    bar = (
        f'<div class="pg-bar" role="progressbar" aria-label="{label}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{percent}"><i style="width:{percent}%"></i></div>'
    )
    return (
        f'<article class="{card.state}" style="{style}">{head}<div class="body">{_pictures(card)}'
        f"<div>{_words(card, how)}</div></div>{bar}{_numbers(card)}</article>"
    )


def _share(card: Card) -> float:
    if card.state == "done":
        return 1.0
    return card.attempt.moment.share if card.attempt and card.attempt.moment else 0.0


def _pictures(card: Card) -> str:
    """What it makes of the digit, and what lies between."""
    attempt = card.attempt
    if attempt is None or attempt.moment is None:
        return card.shown or '<div class="pictures"><div class="blank"></div></div>'
    moment = attempt.moment
    between = "" if moment.between is None else _labelled(moment.between, families.approach(card.spec))
    main = _image(moment.x, "families.result", "main")
    card.shown = f'<div class="pictures">{main}{between}</div>'
    return card.shown


def _labelled(x: Tensor, how: str) -> str:
    """What lies on the way, with its name."""
    key = f"families.between_{how}"
    return f"<figure>{_image(x, key, 'small')}<figcaption>{both(key)}</figcaption></figure>"


def _words(card: Card, how: str) -> str:
    """What it does, what it was told, and what that teaches."""
    attempt = card.attempt
    if attempt is None:
        return f"<p>{both(f'families.short_{how}')}</p>"
    facts: dict[str, Any] = families.facts(attempt.model, card.spec)
    told = card.spec.conditional and attempt.label is not None and how not in ("none", "tokens")
    said = [f"<p>{both(f'families.how_{how}', **facts)}</p>"]
    if told:
        said.append(f"<p>{both('families.told', label=attempt.label)}</p>")
    if attempt.failed:
        said.append(f"<p>{both(attempt.failed)}</p>")
    if card.state == "done":
        said.append(f'<p class="why">{both(f"families.why_{how}", **facts)}</p>')
    return "".join(said)


def _numbers(card: Card) -> str:
    """Pixel error, what the result is read as, time, likelihood."""
    attempt, cells = card.attempt, dict.fromkeys(("error", "read", "time"), DASH)
    if attempt is not None and attempt.moment is not None:
        moment = attempt.moment
        part = "" if moment.region is None else f"<small>{both('families.error_region')}</small>"
        cells["error"] = _small(attempt.error or 0.0) + part
        count = f"<small>{both('families.evaluations', num=moment.nfe)}</small>" if moment.nfe else ""
        cells["time"] = _duration(attempt.seconds) + count
        if attempt.reading is not None:
            cells["read"] = f"{attempt.reading[0]}<small>{attempt.reading[1]:.0%}</small>"
    cells["likelihood"] = _likelihood(card)
    lines = (f"<div><dt>{both(f'families.{key}')}</dt><dd>{cell}</dd></div>" for key, cell in cells.items())
    return f"<dl>{''.join(lines)}</dl>"


def _duration(seconds: float) -> str:
    """Milliseconds, or seconds where those would be many."""
    return f"{seconds:.1f} s" if seconds >= 10 else f"{number(1000 * seconds)} ms"


def _small(error: float) -> str:
    """An error that may be of rounding only."""
    if error == 0:
        return "0"  # a picture that comes back to the last bit
    return f"{error:.3f}" if error >= 5e-4 else f"{error:.1e}"


def _likelihood(card: Card) -> str:
    """The digit's log-likelihood with its kind and its pixels, or why there is none."""
    attempt = card.attempt
    if "HasLikelihood" not in card.spec.capabilities:
        return f"<span class='none'>{both(f'families.unlikely_{families.approach(card.spec)}')}</span>"
    kind, group = scoring.kind(card.spec), scoring.group(card.spec)
    said = f"{both(f'likelihood.kind_{kind}')}, {both(f'families.group_{group}')}"
    if kind != "exact":
        said += f", {both('families.draws', num=families.NUM_DRAWS)}"
    if attempt is None or attempt.nats is None:
        return f"{DASH}<small>{said}</small>"
    bits = scoring.bits_per_dim(attempt.nats, attempt.picture[0].numel())
    value = both("families.nats", nats=f"{attempt.nats:,.1f}", bits=f"{bits:.3f}")
    return f"{value}<small>{said}</small>"
