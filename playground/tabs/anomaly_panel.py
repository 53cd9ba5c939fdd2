"""The HTML of the Anomaly section: a histogram and a table for every model, and what they come to."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from playground import anomaly, scoring
from playground.anomaly import CLOTHES, DIGITS, SETS, Finding, Scorer
from playground.histogram import Cloud, Scale, histogram_svg
from playground.locale import both, words
from playground.spec import ModelSpec
from playground.tabs.pieces import DASH, page

STYLE = page("anomaly.css")
COLOURS = {key: colour for key, colour in zip(SETS, (0, 1, 3, 2), strict=True)}
TOLD, COIN = 0.95, 0.6  # from where on a likelihood tells two kinds apart; up to where it is no use
_DIMS = 28 * 28


@dataclass
class Row:
    """One model on the board.

    Attributes:
        title: as the drop-down has it.
        spec: of the model.
        scorer: its numbers; None while it is loaded, or where it has no weights.
        note: HTML, why it has none.
    """

    title: str
    spec: ModelSpec
    scorer: Scorer | None = None
    note: str = ""


@dataclass
class Board:
    """Everything the panel shows.

    Attributes:
        rows: the models.
        num: digits that were asked for.
        state: ``ready``, ``running``, ``done`` or ``stopped``.
        missing: whether the clothes are not on this machine.
    """

    rows: Sequence[Row]
    num: int
    state: str = "ready"
    missing: bool = False


def board(shown: Board) -> str:
    """The whole panel."""
    shares = [row.scorer.share if row.scorer else 0.0 for row in shown.rows if not row.note]
    percent = round(100 * sum(shares) / len(shares)) if shares else 0
    chip = f'<span class="pg-chip pg-{shown.state}">{both(f"anomaly.{shown.state}")}</span>'
    status = both("anomaly.status", num=shown.num, models=len(shown.rows), percent=percent)
    missing = f'<p class="missing">{both("anomaly.no_clothes")}</p>' if shown.missing else ""
    groups = "".join(_group(key, shown.rows) for key in scoring.GROUPS)
    head = f'<div class="pg-status">{chip}<span>{status}</span></div>{missing}'
    return (
        f'<div class="anomaly">{head}'
        f'{_legend(shown.missing)}{groups}<section class="lesson">{_conclusion(shown)}'
        f"<p>{both('anomaly.lesson')}</p></section></div>"
    )


def _legend(missing: bool) -> str:
    parts = []
    for key in SETS:
        if not (missing and key == CLOTHES):
            parts.append(f"<li>{_swatch(key)}<span>{both(f'anomaly.set_{key}')}</span></li>")
    return f'<ul class="legend">{"".join(parts)}</ul>'


def _swatch(key: str) -> str:
    return f'<i class="pg-swatch" style="--c:var(--pg-{COLOURS[key]})"></i>'


def _group(key: str, rows: Sequence[Row]) -> str:
    """The models whose numbers compare with each other; nothing if there are none."""
    mine = [row for row in rows if scoring.group(row.spec) == key]
    if not mine:
        return ""
    articles = "".join(map(_article, mine))
    return (
        f'<section><h3>{both(f"likelihood.group_{key}")}</h3><p class="pg-dim">'
        f'{both(f"likelihood.group_{key}_info")}</p><div class="models">{articles}</div></section>'
    )


def axis(scorer: Scorer | None) -> Scale:
    """From what is rare among digits and clothes to the likeliest of all; each model has its own axis.

    Noise may lie far to the left of all this; then only its number is written there.
    """
    values = {} if scorer is None else scorer.values
    kept = [values[key] for key in (DIGITS, CLOTHES) if key in values]
    inside, every = (torch.cat([torch.empty(0), *parts]).double() for parts in (kept, values.values()))
    inside, every = inside[inside.isfinite()], every[every.isfinite()]
    low, high = (inside.quantile(0.02).item(), every.max().item()) if len(inside) else (-1000.0, 0.0)
    if scorer is not None and scorer.black is not None:
        high = max(high, scorer.black)
    pad = 0.03 * max(high - low, 0.1 * abs(high), 1.0)
    return Scale(
        low - pad, high + pad, words("anomaly.axis_nats"),
        lambda nats: scoring.bits_per_dim(nats, _DIMS), words("anomaly.axis_bits"),
    )  # fmt: skip


def _article(row: Row) -> str:
    """One model: its histograms, its numbers and one sentence about the empty sheet."""
    kind = f'<span class="kind">{both(f"likelihood.kind_{scoring.kind(row.spec)}")}</span>'
    key = "likelihood.untold" if "HasScore" in row.spec.capabilities else "likelihood.marginal"
    marginal = f'<span class="pg-dim">{both(key)}</span>' if row.spec.conditional else ""
    head = f"<header><h4>{html.escape(row.title)}</h4>{kind}{marginal}</header>"
    if row.note:
        return f'<article>{head}<p class="pg-dim">{row.note}</p></article>'
    scorer = row.scorer
    values: Mapping[str, Any] = {} if scorer is None else scorer.values
    clouds = [
        Cloud(words(f"anomaly.set_{key}"), COLOURS[key], values[key].tolist())
        for key in reversed(SETS)
        if key in values
    ]
    black = None if scorer is None else scorer.black
    marks = [] if black is None else [(black, words("anomaly.black"))]
    title = words("anomaly.histogram", model=row.title)
    figure = histogram_svg(clouds, axis(scorer), title, marks=marks)
    findings = {} if scorer is None else scorer.findings()
    lines = "".join(_line(key, findings[key]) for key in SETS if key in findings)
    return f"<article>{head}{figure}{_table(lines)}{_black(scorer)}</article>"


def _table(lines: str) -> str:
    columns = ("pictures", "nats", "bits", "auroc", "above")
    heads = "".join(f'<th scope="col">{both(f"anomaly.column_{key}")}</th>' for key in columns)
    return (
        f'<div class="pg-scroll"><table><thead><tr><th scope="col">{both("anomaly.column_kind")}</th>{heads}'
        f"</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _line(key: str, found: Finding) -> str:
    """One kind of pictures under one model."""
    lost = f"<small>{both('anomaly.lost', num=found.num_lost)}</small>" if found.num_lost else ""
    all_lost = found.num_lost == found.num
    nats = DASH if all_lost else f"{found.nats:,.1f}<small>± {found.error:.1f}</small>"
    bits = DASH if all_lost else f"{scoring.bits_per_dim(found.nats, _DIMS):.3f}"
    told = DASH if found.auroc is None else f"{found.auroc:.3f}<small>{_judged(found.auroc)}</small>"
    above = DASH if found.above is None else f"{found.above:.0%}"
    return (
        f'<tr><th scope="row">{_swatch(key)}{both(f"anomaly.set_{key}")}</th><td>{found.num}</td>'
        f"<td>{nats}{lost}</td><td>{bits}</td><td>{told}</td><td>{above}</td></tr>"
    )


def _judged(value: float) -> str:
    """What an AUROC means."""
    if value >= TOLD:
        return both("anomaly.told")
    if value > COIN:
        return both("anomaly.partly")
    return both("anomaly.coin" if value >= 1 - COIN else "anomaly.likelier")


def _black(scorer: Scorer | None) -> str:
    """How the sheet without ink compares with digits."""
    share = None if scorer is None else scorer.black_above()
    if scorer is None or share is None or scorer.black is None:
        return ""
    bits = f"{scoring.bits_per_dim(scorer.black, _DIMS):.3f}"
    said = both("anomaly.black_said", nats=f"{scorer.black:,.1f}", bits=bits, share=f"{share:.0%}")
    return f'<p class="black">{said}</p>'


def _conclusion(shown: Board) -> str:
    """What all models together come to, once each has something to say."""
    scorers = [(row.title, row.scorer) for row in shown.rows if row.scorer is not None]
    if not scorers or any(DIGITS not in s.values for _, s in scorers) or shown.state == "running":
        return ""
    said = []
    findings = [(title, scorer.findings()) for title, scorer in scorers]
    fooled = [t for t, f in findings if CLOTHES in f and (f[CLOTHES].auroc or 0.0) < TOLD]
    if not shown.missing:
        key = "anomaly.fooled" if fooled else "anomaly.not_fooled"
        said.append(both(key, models=", ".join(fooled), num=len(scorers)))
    black = [title for title, scorer in scorers if (scorer.black_above() or 0.0) > 0.5]
    key = "anomaly.black_wins" if black else "anomaly.black_loses"
    said.append(both(key, models=", ".join(black), some=len(black), num=len(scorers)))
    even = [t for t, f in findings if anomaly.EVEN in f and (f[anomaly.EVEN].auroc or 0.0) < TOLD]
    if even:
        said.append(both("anomaly.even_fools", models=", ".join(even)))
    return f"<h3>{both('anomaly.conclusion')}</h3>" + "".join(f"<p>{sentence}</p>" for sentence in said)
