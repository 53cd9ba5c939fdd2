"""What the Paths section shows of the picture models: films, straightness, few steps, and two denoisers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from playground import svg
from playground.judge import Metrics
from playground.locale import both, words
from playground.spec import ModelSpec
from playground.tabs import diffuse_lanes as lanes
from playground.tabs import pieces
from playground.tabs.diffuse_restore_panel import sheet
from playground.velocity import Trail

NUM_FRAMES = 13  # of a film, at equal times


@dataclass(frozen=True)
class Short:
    """What one model draws in so many steps.

    Attributes:
        x: (B, C, H, W).
        nfe: evaluations of the network.
        far: root mean squared difference from the end of its own path, None where it has none.
        right: share in which the classifier reads the digit that was asked for, None where none was.
    """

    x: Tensor
    nfe: int
    far: float | None
    right: float | None


def marks() -> list[str]:
    """What the slider says at each frame."""
    return [f"t = {1 - k / (NUM_FRAMES - 1):.2f}" for k in range(NUM_FRAMES)]


def _film(trail: Trail) -> list[Tensor]:
    """(B, C, H, W) at equal times, noise first."""
    return [trail.at(k / (NUM_FRAMES - 1)) for k in range(NUM_FRAMES)]


def walking(trails: Sequence[Trail], share: float) -> str:
    """While the paths are walked."""
    shown = [
        lanes.lane(trail.spec.title, [lanes.row(both("velocity.row_xt"), [trail.xs[-1][:1].clamp(-1, 1)])])
        for trail in trails
        if trail.xs
    ]
    return lanes.live(shown, both("latent.share", percent=round(100 * share)))


def walked(trails: Sequence[Trail], shorts: Mapping[str, Mapping[int, Short]], steps: int, seed: int) -> str:
    """The paths as films, how straight they are, and what few steps make of the same noise.

    Args:
        trails: of the models side by side.
        shorts: what each model, by its title, draws in how many steps.
        steps: of the paths.
        seed: of the noise.
    """
    shown, lines = [], []
    for trail in trails:
        film = [x.clamp(-1, 1) for x in _film(trail)]
        rows = [
            lanes.row(both("velocity.row_all"), [sheet(x) for x in film], wide=True),
            lanes.row(both("velocity.row_xt"), [x[:1] for x in film], film=True),
        ]
        own, left = trail.as_walked(), trail.as_straight_mixture()
        facts = both("velocity.bend_fact", bend=f"{own.bend:.3f}")
        shown.append(lanes.lane(trail.spec.title, rows, facts))
        numbers = (f"{own.bend:.3f}", f"{left.bend:.3f}", f"{own.detour:.2f}", f"{left.detour:.2f}")
        lines.append([trail.spec.title, *(f"<b>{number}</b>" for number in numbers)])
    num = len(trails[0].xs[0])
    heads = [f"velocity.head_{key}" for key in ("model", "bend", "bend_left", "detour", "detour_left")]
    note = pieces.table(heads, lines) + f"<p>{both('velocity.straight_note', num=num, steps=steps)}</p>"
    note += few(shorts) + f"<p>{both('velocity.off_note', steps=steps)}</p>"
    status = both("velocity.walked_status", num=num, seed=seed)
    return lanes.final(shown, marks(), status, note=note)


def few(shorts: Mapping[str, Mapping[int, Short]]) -> str:
    """Pictures in few steps from the same noise: a row a model, a column a number of steps."""
    counts = sorted({count for row in shorts.values() for count in row})
    heads = "".join(f'<th scope="col">{both("velocity.in_steps", num=count)}</th>' for count in counts)
    body = "".join(
        f'<tr><th scope="row" style="vertical-align:top">{title}</th>'
        + "".join(_cell(row.get(count)) for count in counts)
        + "</tr>"
        for title, row in shorts.items()
    )
    return (
        f"<p>{both('velocity.few_note')}</p>"
        f'<div class="pg-scroll"><table><thead><tr><td></td>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(short: Short | None) -> str:
    """A picture and its numbers."""
    if short is None:
        return f"<td>{pieces.DASH}</td>"
    far = "" if short.far is None else both("velocity.far", value=f"{short.far:.2f}")
    right = "" if short.right is None else both("velocity.right", share=f"{short.right:.0%}")
    facts = "<br>".join(part for part in (both("velocity.nfe", num=short.nfe), far, right) if part)
    style = "width:116px;display:block;image-rendering:pixelated;margin:0 0 4px"
    picture = f'<img src="{pieces.address(sheet(short.x))}" alt="" style="{style}">'
    return f'<td style="vertical-align:top">{picture}<small>{facts}</small></td>'


@dataclass(frozen=True)
class Denoiser:
    """One of two models that denoise beside each other.

    Attributes:
        spec: of the model.
        trail: of its paths from the common noise.
        errors: (t, error of eps_hat, error of x0_hat) over t.
        metrics: what the classifier says of its pictures.
    """

    spec: ModelSpec
    trail: Trail
    errors: Sequence[tuple[int, float, float]]
    metrics: Metrics


def compared(both_of: Sequence[Denoiser], seed: int, num_test: int) -> str:
    """Two denoisers from the same noise: their pictures on the way, errors on test pictures, judgement."""
    shown, lines = [], []
    for one in both_of:
        sheets = [sheet(x.clamp(-1, 1)) for x in _film(one.trail)]
        rows = [lanes.row(both("velocity.row_sheet", num=len(one.trail.xs[0])), sheets, wide=True)]
        shown.append(lanes.lane(one.spec.title, rows))
        seen = [one.metrics[key]["value"] for key in ("confidence", "precision")]
        entropy = one.metrics["class_entropy"]["value"]
        lines.append([one.spec.title, *(f"<b>{value:.0%}</b>" for value in seen), f"<b>{entropy:.2f}</b>"])
    num = len(both_of[0].trail.xs[0])
    heads = [f"velocity.head_{key}" for key in ("model", "confidence", "precision", "entropy")]
    note = pieces.table(heads, lines)
    note += f"<p>{both('velocity.judged_note', num=num)}</p>{curves(both_of, num_test)}"
    return lanes.final(shown, marks(), both("velocity.compared_status", num=num, seed=seed), note=note)


def curves(both_of: Sequence[Denoiser], num_test: int) -> str:
    """Errors over t, of the noise and of the picture."""
    drawn = ""
    for place, key in ((1, "error_eps"), (2, "error_x0")):
        found = {  # spaces make room in the legend, and two names of a model and its shipped twin
            one.spec.title + " " * (1 + index): [(float(row[0]), float(row[place])) for row in one.errors]
            for index, one in enumerate(both_of)
        }
        plot = svg.curves_svg(
            found, width=400, height=210, title=words(f"velocity.{key}"), last_step=1000, log=True
        )
        drawn += f'<figure style="margin:0"><figcaption>{both(f"velocity.{key}")}</figcaption>{plot}</figure>'
    columns = "display:grid;gap:14px;grid-template-columns:repeat(auto-fit,minmax(min(100%,380px),1fr))"
    return f'<div style="{columns}">{drawn}</div><p>{both("velocity.errors_note", num=num_test)}</p>'
