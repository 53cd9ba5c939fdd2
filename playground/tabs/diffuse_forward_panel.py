"""What the Forward section shows: tables the page noises with, plots, and where the two ways end."""

import json
from typing import Any

import torch
from torch import Tensor

from playground import figures, noising
from playground.locale import both, words
from playground.nn import randn
from playground.tabs import diffuse_panel as panel
from playground.tabs import pieces
from playground.tabs.diffuse_request import rng

STOPS = [round(i * (noising.NUM_TIMESTEPS - 1) / 12) for i in range(13)]  # where the two ways are compared
_EPS_SCALE = 4096  # noise as 16-bit integers
_MIX = (
    ("xt", ""),
    ("x0", '<p>= <b class="signal"></b> ×</p>'),
    ("eps", '<p>+ <b class="noise"></b> ×</p>'),
)


def tables() -> str:
    """What the page noises with: log SNR and beta of every schedule, and a Gaussian's histogram."""
    found: dict[str, Any] = {"limit": noising.LIMIT, "scale": _EPS_SCALE, "schedules": {}}
    for name in noising.SCHEDULES:
        a = noising.alphas_cumprod(name)
        found["schedules"][name] = {
            "snr": panel.array(noising.log_snr(a), "f4"), "beta": panel.array(noising.betas_of(a), "f4")
        }  # fmt: skip
    found["normal"] = panel.array(noising.normal_histogram(), "f4")
    return json.dumps(found)


def skeleton() -> str:
    """What stays in place while pictures, timesteps and schedules change."""
    schedules = "".join(
        f'<button type="button" data-schedule="{name}">{both(f"diffuse.{name}")}</button>'
        for name in noising.SCHEDULES
    )
    mixed = "".join(
        f'{sign}<figure><canvas class="{key}"></canvas>'
        f"<figcaption>{both(f'diffuse.{key}')}</figcaption></figure>"
        for key, sign in _MIX
    )
    facts = "".join(
        f"<div><dt>{both(f'diffuse.{key}')}</dt><dd class={key}></dd></div>"
        for key in ("snr", "far", "far_noise")
    )
    return (
        f'<div class="forward"><div class="kinds" role="group">{both("diffuse.schedule")}{schedules}</div>'
        f'<div class="mix">{mixed}</div><div class="pg-scrub"><button type="button" class="play" aria-label="'
        f'{pieces.spoken("sample.play")}">▶</button><input type="range" class="slider" min="0" '
        f'max="{noising.NUM_TIMESTEPS - 1}" value="300" aria-label="{pieces.spoken("diffuse.timestep")}">'
        '<output></output></div><div class="pixels"><figure class="histogram">'
        '<svg viewBox="0 0 560 150" preserveAspectRatio="none" role="img" aria-label="'
        f'{pieces.spoken("diffuse.histogram")}"><path class="bars"/><path class="normal"/></svg>'
        f"<figcaption>{both('diffuse.histogram')}</figcaption></figure><dl>{facts}</dl></div>"
        f'<div class="plots">{curves()}</div><div class="pg-status"></div>'
        f'<p class="ready">{both("diffuse.ways_ready")}</p>'
        f'<div class="ways" hidden>{ways_skeleton()}</div></div>'
    )


def ways_skeleton() -> str:
    """The comparison of steps and jump, filled by the page for the schedule and timestep it is at."""
    films = "".join(
        f'<div class="film" data-way="{way}"><small>{both(f"diffuse.way_{way}")}</small><div></div></div>'
        for way in ("steps", "jump")
    )
    heads = "".join(f'<th scope="col">{both(f"diffuse.{key}")}</th>' for key in ("mean", "std"))
    rows = "".join(
        f'<tr><th scope="row"><i data-way="{way}"></i>{both(f"diffuse.way_{way}")}</th>'
        f'<td class="mean-{way}"></td><td class="std-{way}"></td></tr>'
        for way in ("steps", "jump")
    )
    return (
        f'{films}<div class="meet"><figure class="histogram"><svg viewBox="0 0 560 150" '
        f'preserveAspectRatio="none" role="img" aria-label="{pieces.spoken("diffuse.ways_histogram")}">'
        '<path class="steps"/><path class="jump"/></svg><figcaption></figcaption></figure>'
        f"<table><thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p class="verdict">{both("diffuse.ways_verdict")}</p>'
    )


def curves() -> str:
    """beta, a_t and log SNR over t, a curve for each schedule, in three plots."""
    drawn, times = [], range(noising.NUM_TIMESTEPS)
    plots: tuple[tuple[str, Any, dict[str, Any]], ...] = (
        ("betas", noising.betas_of, {"log": True}), ("alphas", lambda a: a, {"bounds": (0.0, 1.0)}),
        ("log_snr", noising.log_snr, {}),
    )  # fmt: skip
    for key, of, options in plots:
        found = {
            words(f"diffuse.{name}"): list(zip(times, of(noising.alphas_cumprod(name)).tolist(), strict=True))
            for name in noising.SCHEDULES
        }
        values = [y for curve in found.values() for _, y in curve]  # all in sight, however steep a curve ends
        options = {"bounds": (min(values), max(values))} | options
        plot = panel.plot(found, words(f"diffuse.{key}"), last_step=noising.NUM_TIMESTEPS - 1, **options)
        drawn.append(
            f"<figure>{plot}<figcaption>{both(f'diffuse.{key}')} <b class={key}></b></figcaption></figure>"
        )
    return "".join(drawn)


def scene(x0: Tensor, seed: int) -> dict[str, Any]:
    """A picture (1, C, H, W) and its noise, as the page mixes them."""
    eps = randn(x0.shape, rng(seed))
    pixels = torch.from_numpy(figures.to_pixels(x0)[0])  # (H, W, C)
    levels = eps[0].permute(1, 2, 0).mul(_EPS_SCALE).round().clamp(-32768, 32767)
    return {
        "side": x0.shape[2], "channels": x0.shape[1],
        "x0": panel.array(pixels, "u1"), "eps": panel.array(levels, "i2"),
    }  # fmt: skip


def told(meetings: list[noising.Meeting]) -> dict[str, Any]:
    """Meetings as the page shows them, histograms in shares of ten thousand."""
    return {
        "t": [m.t for m in meetings],
        "means": [m.means for m in meetings],
        "stds": [m.stds for m in meetings],
        "distance": [m.distance for m in meetings],
        "floor": [m.floor for m in meetings],
        "histograms": [[h.mul(1e4).round().int().tolist() for h in m.histograms] for m in meetings],
    }


def films(x0: Tensor, name: str, seed: int) -> dict[str, str]:
    """One picture on both ways, at every stop."""
    a, generator = noising.alphas_cumprod(name), rng(seed)
    walked = [x for _, x in noising.chain(x0, noising.betas_of(a), STOPS, generator)]
    jumped = [noising.jump(x0, float(a[t]), randn(x0.shape, generator)) for t in STOPS]
    return {"steps": pieces.address(torch.cat(walked), 13), "jump": pieces.address(torch.cat(jumped), 13)}
