"""The Paths section's plane: exact velocity fields of toy data, and particles that follow them."""

import json
from functools import cache
from typing import Any

import torch
from torch import Tensor

from playground.locale import both
from playground.tabs import diffuse_panel as panel
from playground.tabs import pieces
from playground.velocity import MIXES, apart, straightness, toy_points, toy_velocity, toy_walk

TOYS = ("eight_gaussians", "two_moons", "checkerboard", "spiral")
STEPS = (1, 2, 4, 8, 16)
EXACT = "all"  # as many steps as make no difference any more
_EXACT_STEPS = 160
_FRAMES, _GRID, _EXTENT = 41, 15, 2.6
_WALKERS, _SHOWN = 300, 90  # particles that are measured; the first of them are drawn
_SCALE = 2048  # numbers travel as 16-bit integers


def skeleton() -> str:
    """What stays in place while data, time and number of steps change."""
    buttons = "".join(
        f'<button type="button" data-steps="{key}">{text}</button>'
        for key, text in [*((str(n), str(n)) for n in STEPS), (EXACT, both("velocity.exact"))]
    )
    planes = "".join(
        f'<figure data-way="{name}" style="--c:var(--pg-{index})"><h3>{both(f"velocity.{name}")}</h3>'
        f'<canvas role="img" aria-label="{pieces.spoken(f"velocity.{name}")}"></canvas>'
        f"<figcaption>{both('velocity.plane_says')}</figcaption></figure>"
        for index, name in enumerate(MIXES)
    )
    return (
        f'<div class="field"><div class="choices" role="group">{both("velocity.euler_steps")}{buttons}</div>'
        f'<div class="planes">{planes}</div><div class="pg-scrub"><button type="button" class="play" '
        f'aria-label="{pieces.spoken("sample.play")}">▶</button><input type="range" class="slider" min="0" '
        f'max="{_FRAMES - 1}" value="0" aria-label="{pieces.spoken("velocity.time")}"><output></output></div>'
        f'<p class="hint">{both("velocity.plane_hint")}</p>'
        f'<p class="hint">{both("velocity.plane_why")}</p></div>'
    )


@cache
def scene(name: str) -> str:
    """Fields, walks and numbers of a toy data set, as the page draws them."""
    points = toy_points(name)
    aims = [toy_points(name, _WALKERS, len(points) + k * _WALKERS) for k in range(6)]
    chance = sum(apart(aims[0], other) for other in aims[1:]) / (len(aims) - 1)
    start = torch.randn(_WALKERS, 2, generator=torch.Generator().manual_seed(0))
    found: dict[str, Any] = {
        "scale": _SCALE, "extent": _EXTENT, "grid": _GRID, "frames": _FRAMES, "num": _SHOWN,
        "points": _packed(points), "chance": f"{chance:.2f}",
        "ways": {way: _way(points, start, aims[0], way) for way in MIXES},
    }  # fmt: skip
    return json.dumps(found)


def _way(points: Tensor, start: Tensor, aim: Tensor, name: str) -> dict[str, Any]:
    """One mixture: arrows at every frame, walks in few and in many steps, and how straight they are.

    Args:
        points: (N, 2), the data of the field.
        start: (B, 2), the noise.
        aim: (B, 2), other data, which the ends are compared with.
        name: of the mixture.
    """
    side = (torch.arange(_GRID) + 0.5) / _GRID * 2 * _EXTENT - _EXTENT
    rows, columns = torch.meshgrid(side, side, indexing="ij")
    places = torch.stack([columns.flatten(), rows.flatten()], 1)
    times = torch.linspace(1, 0, _FRAMES).tolist()
    arrows = torch.stack([toy_velocity(points, places, MIXES[name](t)) for t in times])
    walks = {str(n): toy_walk(points, start, name, n) for n in STEPS}
    exact = toy_walk(points, start, name, _EXACT_STEPS)
    walks[EXACT] = exact[:: _EXACT_STEPS // (_FRAMES - 1)]
    found = straightness(torch.linspace(1, 0, _EXACT_STEPS + 1), exact)
    return {
        "arrows": _packed(arrows.clamp(-15, 15)),
        "walks": {key: _packed(walk[:, :_SHOWN]) for key, walk in walks.items()},
        "bend": f"{found.bend:.2f}",
        "detour": f"{found.detour:.2f}",
        "missed": {key: f"{apart(walk[-1], aim):.2f}" for key, walk in walks.items()},
    }


def _packed(x: Tensor) -> str:
    return panel.array((x * _SCALE).round(), "i2")
