"""What a model's card has measured, as a strip of numbers: each with its unit and the samples behind it."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground import registry, scoring
from playground.listing import SHARES, multiple
from playground.locale import both
from playground.spec import ModelSpec
from playground.tabs import likelihood_cards_panel
from playground.tabs.panels import sizes
from playground.tabs.pieces import page

Card = Mapping[str, Any]


def component(spec: ModelSpec) -> gr.HTML:
    """A strip on the page; `strip` changes it."""
    return gr.HTML(strip(spec), apply_default_css=False, css_template=page("card.css"), elem_id="pg-card")


def strip(spec: ModelSpec, own: bool = False) -> str:
    """The numbers of a model.

    Args:
        spec: of the model.
        own: whether it was trained in this page: then the shipped card is of other weights.
    """
    shipped = not own and registry.shipped(spec.name)
    card = registry.card(spec.name) if shipped else {}
    metrics = card.get("metrics", {})
    tiles = [_quality(metrics), *(_share(key, metrics) for key in SHARES), *_asked(spec, metrics)]
    if "HasLikelihood" in spec.capabilities:
        tiles.append(_likelihood(spec, metrics))
    tiles += [_parameters(card), _training(card)] if shipped else []
    note = both("sample.numbers_note" if shipped else "sample.numbers_none")
    return f'<div class="strip"><h3>{both("sample.numbers")}</h3><dl>{"".join(tiles)}</dl><p>{note}</p></div>'


def _tile(label: str, value: str | None, facts: str = "", meter: str = "") -> str:
    """One number; None says that it was not measured."""
    if value is None:
        return f'<div class="none"><dt>{label}</dt><dd>{both("compare.unknown")}</dd></div>'
    return f"<div><dt>{label}</dt><dd><b>{value}</b>{meter}<small>{facts}</small></dd></div>"


def _quality(metrics: Card) -> str:
    label, entry = both("sample.quality"), metrics.get("fid")
    if entry is None or "times_floor" not in entry:
        return _tile(label, None)
    fid, times = entry["value"], entry["times_floor"]
    facts = both(
        "sample.quality_facts", fid=f"{fid:.3g}", floor=f"{fid / times:.3g}", num=f"{entry['num']:,}"
    )
    return _tile(label, f"{multiple(times)}×", facts)


def _share(key: str, metrics: Card) -> str:
    """A share with a meter, on which a stroke shows what real pictures get."""
    label, entry = both(f"compare.{key}"), metrics.get(key)
    if entry is None:
        return _tile(label, None)
    stroke = f'<i class="real" style="left:{entry["real"]:.1%}"></i>' if "real" in entry else ""
    meter = f'<span class="meter"><i style="width:{entry["value"]:.1%}"></i>{stroke}</span>'
    return _tile(label, f"{entry['value']:.1%}", _behind(entry), meter)


def _behind(entry: Card) -> str:
    """What real pictures get in a number's place, and how many pictures it is of."""
    real = entry.get("real")
    return sizes(entry) if real is None else f"{both('sample.real', share=f'{real:.0%}')}<br>{sizes(entry)}"


def _asked(spec: ModelSpec, metrics: Card) -> list[str]:
    """How often what was asked for is drawn; nothing for a model that cannot be asked."""
    if entry := metrics.get("wording_category"):
        return [_tile(both("sample.category"), f"{entry['value']:.1%}", _behind(entry))]
    if not spec.conditional:
        return []
    entry = metrics.get("label_accuracy")
    share = f"{entry['value']:.2%}" if entry else None
    return [_tile(both("sample.label_right"), share, sizes(entry) if entry else "")]


def _likelihood(spec: ModelSpec, metrics: Card) -> str:
    """The best likelihood on the card, of the kind that it is."""
    label = both(f"sample.likelihood_{scoring.group(spec)}")
    found = scoring.of_card(metrics)
    if not found:
        return _tile(label, None)
    best = found[0]
    value = f"{likelihood_cards_panel.number(best)} <em>{scoring.UNITS[best.group]}</em>"
    facts = [likelihood_cards_panel.said(best), likelihood_cards_panel.given(best), f"N = {best.num:,}"]
    return _tile(label, value, "<br>".join(filter(None, facts)))


def _parameters(card: Card) -> str:
    num = card.get("num_parameters")
    return _tile(both("sample.parameters"), None if num is None else f"{num:,}")


def _training(card: Card) -> str:
    """The minutes it took, and how much of its recipe that was."""
    minutes, steps = card.get("training_minutes"), card.get("num_steps")
    if minutes is None or steps is None:
        return _tile(both("sample.training"), None)
    total = card.get("recipe", {}).get("num_steps", steps)
    facts = both(
        "sample.training_facts", steps=f"{steps:,}", total=f"{total:,}", device=card.get("device", "")
    )
    return _tile(both("sample.training"), both("sample.minutes", minutes=f"{minutes:g}"), facts)
