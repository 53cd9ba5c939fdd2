"""What the Jumps section shows: ways side by side, and the draws behind one noisy picture."""

import html
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from playground import guesses, jumps
from playground.guesses import Guesses, Line
from playground.jumps import Walk
from playground.locale import both, words
from playground.tabs import diffuse_lanes as lanes
from playground.tabs import pieces
from playground.tabs.jumps_request import AskedGuesses, AskedWalk
from playground.tabs.pieces import DASH, number

STYLE = pieces.page("jumps.css")
NUM_SHOWN = 40  # draws of each way, in rows of eight
_COLUMNS = 8
_PLOT = (260, 96)
COLOURS = {"one": 1, "few": 2, "bump": 3, "many": 0}


def _steps(walk: Walk) -> str:
    """How many steps a way has."""
    key = {"one": "num_one", "few": "num_few", "many": "num_many"}[str(jumps.kind(walk.spec))]
    return both(f"jumps.{key}", num=walk.num_steps)


def _facts(walk: Walk) -> str:
    """What a way has cost."""
    nfe = f"{walk.states[-1].nfe:,}" if walk.states else DASH
    return f"{_steps(walk)} · " + both("diffuse.cost", nfe=nfe, milliseconds=number(1000 * walk.seconds))


def _rows(walk: Walk, places: Sequence[int]) -> list[dict[str, Any]]:
    """Where a way is and what it sees from there, at those of its states."""
    states = [walk.states[min(place, len(walk.states) - 1)] for place in places]
    return [
        lanes.row(both("jumps.row_x"), [state.x for state in states], film=True),
        lanes.row(both("jumps.row_x0"), [state.x0_hat for state in states], film=True),
    ]


def walking(walks: Sequence[Walk]) -> str:
    """While they are on their way."""
    shown = [
        lanes.lane(html.escape(walk.spec.title), _rows(walk, [len(walk.states) - 1]), _facts(walk))
        for walk in walks
        if walk.states
    ]
    share = sum(walk.share for walk in walks) / len(walks)
    return lanes.live(shown, both("latent.share", percent=round(100 * share)))


def walked(asked: AskedWalk, walks: Sequence[Walk]) -> str:
    """All ways under one slider."""
    places = jumps.moments(walks)
    shown = [
        lanes.lane(html.escape(walk.spec.title), _rows(walk, own), _facts(walk), says=_says(walk, own))
        for walk, own in zip(walks, places, strict=True)
    ]
    marks = [
        " · ".join(f"{own[i]}/{walk.num_steps}" for walk, own in zip(walks, places, strict=True))
        for i in range(len(places[0]))
    ]
    label = both("diffuse.no_label") if asked.label is None else both("diffuse.with_label", label=asked.label)
    status = both("jumps.walked", seed=asked.seed) + f" · {label}"
    return lanes.final(shown, marks, status, note=both("jumps.walk_note"), start=0)


def _says(walk: Walk, places: Sequence[int]) -> list[str]:
    """A sentence for every moment."""
    return [
        both("jumps.arrived") if place == walk.num_steps
        else both("jumps.did", done=place, num=walk.num_steps)
        for place in places
    ]  # fmt: skip


def blank() -> str:
    """Before anything is drawn."""
    return f'<div class="behind"><p class="ready">{both("jumps.draw_ready")}</p></div>'


def waiting() -> str:
    """While the models are fetched."""
    status = f"{pieces.chip('running')}<span>{both('latent.preparing')}</span>"
    return f'<div class="behind"><div class="pg-status">{status}</div></div>'


def board(asked: AskedGuesses, xt: Tensor, ways: Sequence[Guesses], state: str) -> str:
    """The noisy picture and what every way draws from it, as far as it is."""
    share = sum(min(1.0, len(way.x0) / guesses.NUM_DRAWS) for way in ways) / len(ways)
    said = both("latent.share", percent=round(100 * share)) if state == "running" else ""
    status = f'<div class="pg-status">{pieces.chip(state)}<span>{said}</span></div>'
    given = "".join(
        f'<figure><img src="{pieces.address(x)}" alt="{pieces.spoken(f"jumps.{key}_alt")}">'
        f"<figcaption>{both(f'jumps.{key}', t=asked.t)}</figcaption></figure>"
        for key, x in (("given_x0", asked.x0), ("given_xt", xt))
    )
    drawn = [way for way in ways if len(way.x0)]
    found = guesses.common_line(drawn) if drawn else None
    seen = guesses.finding(ways)
    cards = "".join(_card(way, found, seen) for way in ways)
    axis = "" if found is None else f'<p class="axis">{_axis(found)}</p>'
    lesson = ""
    if state == "done":
        apart = {way.way: f"{way.apart:.2f}" for way in ways}
        lesson = f'<p class="lesson">{both("jumps.measured", **apart)} {both(f"jumps.lesson_{seen}")}</p>'
    return (
        f'<div class="behind">{status}<div class="given">{given}<div><p>{both("jumps.given_note")}</p>'
        f'{axis}</div></div><div class="ways">{cards}</div>{lesson}</div>'
    )


def _axis(found: Line) -> str:
    """What the histograms lie along."""
    if found.ends is None:
        return both("jumps.axis_spread")
    return both("jumps.axis_between", low=found.ends[0], high=found.ends[1])


def _card(way: Guesses, found: Line | None, seen: str | None) -> str:
    """One way: its draws, what the classifier reads in them, and where they lie on the line."""
    head = f"<h4>{both(f'jumps.draw_{way.way}')}</h4><small>{html.escape(way.spec.title)}</small>"
    card = f'<section style="--c:var(--pg-{COLOURS[way.way]})"><header>{head}</header>'
    if found is None or not len(way.x0):
        return f'{card}<div class="sheet"></div></section>'
    each = 1000 * way.seconds / len(way.x0)
    facts = both("jumps.draw_facts", num=len(way.x0), nfe=way.nfe, milliseconds=number(each))
    sheet = pieces.address(way.x0[:NUM_SHOWN].clamp(-1, 1), _COLUMNS)
    label = pieces.spoken(f"jumps.draw_{way.way}")
    kinds = "kinds" if seen == "one" and way.num_kinds > 1 else seen
    why = f"few_{kinds}" if way.way == "few" else way.way
    num_bumps = guesses.num_bumps(way, found)
    says = both("jumps.kinds", num=way.num_kinds, bumps=num_bumps, apart=f"{way.apart:.2f}")
    return (
        f'{card}<div class="sheet"><img src="{sheet}" alt="{label}"></div><p class="facts">{facts}</p>'
        f"{_histogram(way, found)}{_digits(way)}<p>{says} {both(f'jumps.why_{why}')}</p></section>"
    )


def _histogram(way: Guesses, found: Line) -> str:
    """Where the draws lie on the line, the means of the two digits marked."""
    shares, (width, height) = guesses.histogram(found.place(way.x0)), _PLOT
    room, wide, highest = height - 18, width / guesses.BINS, max(shares)
    bars = "".join(
        f'<rect x="{index * wide:.2f}" y="{room * (1 - share / highest):.2f}" width="{wide:.2f}" '
        f'height="{room * share / highest:.2f}"/>'
        for index, share in enumerate(shares)
        if share
    )
    marks = ""
    for place, digit in zip((-1, 1), found.ends or (), strict=False):
        x = width * (place + guesses.LIMIT) / (2 * guesses.LIMIT)
        marks += (
            f'<path class="mark" d="M{x:.1f} 0V{room}"/><text x="{x:.1f}" y="{height - 4}">{digit}</text>'
        )
    title = html.escape(" · ".join(words("jumps.histogram")), quote=True)
    return (
        f'<svg class="bumps" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">{bars}'
        f'<path class="base" d="M0 {room}H{width}"/>{marks}</svg>'
    )


def _digits(way: Guesses) -> str:
    """How often each digit is read."""
    counts = way.counts()
    columns = "".join(
        f'<div title="{count}"><i style="height:{100 * count / max(1, max(counts)):.0f}%"></i>'
        f"<span>{digit}</span></div>"
        for digit, count in enumerate(counts)
    )
    return f'<div class="digits" role="img" aria-label="{pieces.spoken("jumps.digits")}">{columns}</div>'


def answer(asked: AskedGuesses, xt: Tensor, ways: Sequence[Guesses]) -> dict[str, Any]:
    """What the endpoint returns."""
    found = guesses.common_line(ways)
    drawn = [
        {
            "way": way.way, "model": way.spec.name, "num": len(way.x0), "nfe": way.nfe,
            "milliseconds": 1000 * way.seconds / len(way.x0), "digits": way.counts(), "apart": way.apart,
            "bumps": guesses.num_bumps(way, found),
            "histogram": guesses.histogram(found.place(way.x0)),
            "png": pieces.address(way.x0[:NUM_SHOWN].clamp(-1, 1), _COLUMNS),
        }
        for way in ways
    ]  # fmt: skip
    return {
        "t": asked.t,
        "xt": pieces.address(xt),
        "between": None if found.ends is None else list(found.ends),
        "limit": guesses.LIMIT,
        "finding": guesses.finding(ways),
        "ways": drawn,
    }
