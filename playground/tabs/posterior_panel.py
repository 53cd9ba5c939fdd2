"""What the VAE section's panels are sent: q(z|x) against the prior, the bound's terms, how tight it is."""

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from playground import registry, scoring, svg
from playground.bounds import NUM_CODES, NUM_WEIGHTS, Estimate, Seen
from playground.locale import both, words
from playground.spec import ModelSpec
from playground.tabs.pieces import address, chip, cost

NUM_DIMS = 24


def bars(seen: Seen, spec: ModelSpec, order: Tensor, name: str) -> str:
    """The panel that follows the pen: the picture, its reconstruction, the terms, the first dimensions."""
    kept = order[:NUM_DIMS]
    carried = seen.kl[kept].sum()
    note = both(
        "posterior.dims_note", shown=len(kept), all=len(order), kept=f"{carried:.1f}",
        rest=f"{seen.kl.sum() - carried:.1f}",
    )  # fmt: skip
    return json.dumps({
        "of": f"{name} {seen.mu.numel()}",
        "x": address(seen.x),
        "again": address(seen.again),
        "cost": cost(seen.nfe, seen.seconds),
        "label": both("posterior.taken_for", label=seen.label) if seen.label is not None else "",
        "terms": terms(seen, spec),
        "note": note,
        "dims": kept.tolist(),
        "mu": [round(value, 3) for value in seen.mu[kept].tolist()],
        "std": [round(value, 3) for value in seen.std[kept].tolist()],
    })  # fmt: skip


def terms(seen: Seen, spec: ModelSpec) -> str:
    """What the picture costs: reconstruction and KL, in nats, and both together in bits too."""
    paid, kl, whole, error = -seen.log_px, float(seen.kl.sum()), -seen.elbo.value, seen.elbo.error
    bits = scoring.bits_per_dim(seen.elbo.value, seen.x.numel())
    given = both("posterior.given_label" if spec.conditional else "posterior.without_label")
    parts = (("reconstruction", paid, 0, error), ("kl", kl, 1, 0.0))
    lines = [
        _term(f"posterior.{key}", value, value / max(whole, 1e-9), colour, off)
        for key, value, colour, off in parts
    ]
    total = f'<div class="whole">{_term("posterior.bound", whole, 1.0, 2, error)}</div>'
    note = both(
        "posterior.terms_note", bits=f"{bits:.{2 + _decimals(error)}f}", dims=seen.x.numel(),
        codes=seen.elbo.num, error=nats(error, error),
    )  # fmt: skip
    return f'{"".join(lines)}{total}<p class="note">{note} {given}</p>'


def nats(value: float, error: float) -> str:
    """A number no finer than its error: whole nats where that is half a nat or more."""
    return f"{value:.{_decimals(error)}f}"


def _decimals(error: float) -> int:
    return int(error < 0.5)


def _term(key: str, value: float, share: float, colour: int, error: float) -> str:
    style = f"width:{100 * min(max(share, 0.0), 1.0):.1f}%;--c:var(--pg-{colour})"
    return (
        f'<div class="term"><span>{both(key)}</span><div class="track"><i style="{style}"></i></div>'
        f"<b>{nats(value, error)} nats{f'<small>± {nats(error, error)}</small>' if error else ''}</b></div>"
    )


def tight(
    levels: Mapping[int, float], classes: Sequence[Estimate], elbo: Estimate | None, share: float = 1.0
) -> str:
    """L_k over k for one picture, and for a conditional model the bound for every label.

    Args:
        levels: k to L_k in nats.
        classes: the bound for every label; empty where there are none.
        elbo: the bound of the curve's beginning; None while it is measured.
        share: of the work done.
    """
    if elbo is None:
        return (
            f'<div class="tight"><div class="pg-status">{chip("running")}'
            f"<span>{both('latent.share', percent=round(100 * share))}</span></div></div>"
        )
    curve = [(float(k), value) for k, value in levels.items()]
    first, last = curve[0][1], curve[-1][1]
    drawn = svg.curves_svg({"L_k": curve}, width=420, height=220, title=words("posterior.curve"))
    said = both(
        "posterior.tight_says", elbo=nats(first, elbo.error), error=nats(elbo.error, elbo.error),
        iwae=nats(last, elbo.error), gap=nats(last - first, elbo.error), k=NUM_WEIGHTS,
    )  # fmt: skip
    figure = f'<div><h3>{both("posterior.curve")}</h3>{drawn}<p class="note">{said}</p></div>'
    labels = _classes(classes) if classes else ""
    return (
        f'<div class="tight"><div class="pg-status">{chip("done")}</div>'
        f'<div class="pair">{figure}{labels}</div>{table()}</div>'
    )


def _classes(found: Sequence[Estimate]) -> str:
    """Which label explains the picture: Bayes' rule with the bounds in place of the likelihoods."""
    shares = torch.tensor([one.value for one in found]).softmax(0).tolist()
    lines = "".join(
        f'<div class="term"><span>{label}</span><div class="track"><i style="width:{100 * share:.1f}%;'
        f'--c:var(--pg-3)"></i></div><b>{nats(one.value, one.error)}</b></div>'
        for label, (one, share) in enumerate(zip(found, shares, strict=True))
    )
    most = max(one.error for one in found)
    note = both("posterior.classes_note", codes=NUM_CODES, error=nats(most, most))
    return (
        f'<div><h3>{both("posterior.classes")}</h3><div class="classes">{lines}</div>'
        f'<p class="note">{note}</p></div>'
    )


def before() -> str:
    """Before the picture is measured: what the cards say."""
    return f'<div class="tight"><p class="note">{both("posterior.tight_ready")}</p>{table()}</div>'


def table() -> str:
    """ELBO and IWAE of every model with a posterior, over test pictures, as their cards have them."""
    rows = "".join(_row(name) for name in registry.names("HasPosterior"))
    heads = "".join(
        f"<th scope=col>{both(f'posterior.{key}')}</th>" for key in ("model", "elbo", "iwae", "gap")
    )
    caption = f'<p class="note">{both("posterior.table")}</p>'
    lines = f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="pg-scroll">{caption}<table>{lines}</table></div>'


def _row(name: str) -> str:
    spec = registry.spec(name)
    metrics: dict[str, Any] = registry.card(name).get("metrics", {}) if registry.shipped(name) else {}
    cells = [_cell(metrics, "nll"), _cell(metrics, "iwae"), "–"]
    if "nll_nats" in metrics and "iwae_nats" in metrics:
        cells[2] = f"<b>{metrics['nll_nats']['value'] - metrics['iwae_nats']['value']:.1f}</b>"
    given = both("posterior.given" if spec.conditional else "posterior.not_given")
    head = f'<th scope="row">{html.escape(spec.title)}<small>{given}</small></th>'
    return f"<tr>{head}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _cell(metrics: dict[str, Any], key: str) -> str:
    """One number of a card in nats, with bits/dim, its kind and how many pictures it is of."""
    if f"{key}_nats" not in metrics:
        return "–"
    entry, bits = metrics[f"{key}_nats"], metrics[f"{key}_bits_per_dim"]["value"]
    codes = entry.get("num_latents", 1)
    facts = both("posterior.facts", bits=f"{bits:.4f}", num=f"{entry['num']:,}", codes=codes)
    return f"<b>{entry['value']:.2f}</b><small>{facts}</small>"


def skeleton() -> str:
    """What stays in place while one draws."""
    return (
        f'<div class="posterior"><p class="ready">{both("posterior.ready")}</p><div class="body" hidden>'
        f'<div class="top"><figure><img class="x" alt=""><figcaption>{both("posterior.seen")}</figcaption>'
        f'</figure><figure><img class="again" alt=""><figcaption>{both("posterior.again")} '
        '<span class="cost"></span></figcaption></figure>'
        '<div><div class="terms"></div><p class="label"></p></div></div>'
        f'<div><h3>{both("posterior.dims")}</h3><p class="dims-note"></p></div><div class="dims"></div>'
        "</div></div>"
    )
