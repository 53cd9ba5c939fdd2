"""The standing tables of likelihoods, from the cards: no number stands below one of another kind."""

import html

from playground import registry, scoring
from playground.locale import both
from playground.scoring import Measured
from playground.spec import ModelSpec

COLUMNS = ("model", "value", "kind", "given", "num")


def tables() -> str:
    """A table for each of `scoring.GROUPS`, the best number first, models without one last."""
    specs = [registry.spec(name) for name in registry.names("HasLikelihood")]
    return f'<div class="tables">{"".join(_table(group, specs) for group in scoring.GROUPS)}</div>'


def _table(group: str, specs: list[ModelSpec]) -> str:
    found, missing = [], []
    for spec in specs:
        metrics = registry.card(spec.name).get("metrics", {}) if registry.shipped(spec.name) else {}
        measured = [one for one in scoring.of_card(metrics) if one.group == group]
        found += [(one, spec) for one in measured]
        if not measured and scoring.group(spec) == group:
            missing.append(spec)
    rows = [_row(one, spec) for one, spec in sorted(found, key=lambda pair: pair[0].value)]
    rows += [_missing(spec) for spec in missing]
    heads = "".join(f'<th scope="col">{_head(key, group)}</th>' for key in COLUMNS)
    return (
        f'<section data-group="{group}"><h3>{both(f"likelihood.group_{group}")}</h3>'
        f"<p>{both(f'likelihood.group_{group}_info')}</p>"
        f'<div class="pg-scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
        "</div></section>"
    )


def _head(key: str, group: str) -> str:
    return both(f"likelihood.cards_{key}", unit=scoring.UNITS[group])


def _row(one: Measured, spec: ModelSpec) -> str:
    cells = (f"<b>{number(one)}</b>", said(one), given(one), f"{one.num:,}")
    return _line(spec, "".join(f"<td>{cell}</td>" for cell in cells))


def _missing(spec: ModelSpec) -> str:
    return _line(spec, f'<td class="none" colspan="{len(COLUMNS) - 1}">{both("compare.unknown")}</td>')


def _line(spec: ModelSpec, cells: str) -> str:
    family = f"<small>{both(f'families.family_{spec.family}')}, {spec.year}</small>"
    return f'<tr><th scope="row">{html.escape(spec.title)}{family}</th>{cells}</tr>'


def number(one: Measured) -> str:
    """The value with its standard error."""
    error = "" if one.error is None else f" ± {one.error:.{one.digits}f}"
    return f"{one.value:.{one.digits}f}{error}"


def said(one: Measured) -> str:
    """Whether a number is exact or a bound, and of what."""
    if one.num_latents > 1:
        return both("likelihood.says_iwae", codes=one.num_latents)
    return both(f"likelihood.says_{one.kind}")


def given(one: Measured) -> str:
    """Whether the model was told the label; nothing where the card does not say."""
    if one.given_label is None:
        return ""
    return both("posterior.given" if one.given_label else "posterior.not_given")
