"""What the Words tab shows: the picture on its way, who looked at which word, and what it resembles."""

import html
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from playground import data, figures, illustrating, wording
from playground.illustrating import Asked, Film, Verdict
from playground.locale import both
from playground.spec import WordStep
from playground.tabs import diffuse_lanes as lanes
from playground.tabs import pieces
from playground.tabs.words_request import EXAMPLES

_DOWNLOAD_SCALE = 8


def chips() -> str:
    """Examples to click, in three groups: seen in training, held out, and shown by no emoji."""
    groups = []
    for key, prompts in EXAMPLES.items():
        buttons = "".join(
            f'<button type="button" data-prompt="{html.escape(prompt, quote=True)}">'
            f"{html.escape(prompt)}</button>"
            for prompt in prompts
        )
        groups.append(f'<div role="group"><small>{both(f"words.chips_{key}")}</small>{buttons}</div>')
    return f'<div class="chips">{"".join(groups)}</div>'


def live(asked: Asked, moment: WordStep) -> str:
    """While a picture is drawn."""
    share = both("latent.share", percent=round(100 * moment.step / moment.num_steps))
    if asked.other:
        rows = [lanes.row(both("words.row_between"), [_side_by_side(moment.x0_hat)], wide=True)]
    else:
        rows = [
            lanes.row(both("words.row_guess"), [moment.x0_hat], wide=True),
            lanes.row(both("words.row_latent"), [moment.xt]),
        ]
    return lanes.live([lanes.lane(html.escape(title(asked)), rows)], share)


def done(
    asked: Asked, film: Film, read: Sequence[str], seconds: float, seen: Verdict | None, state: str
) -> str:
    """The way under a slider: the guess, the latent, a map for every word; below, what it resembles."""
    moments = film.moments
    cost = both("words.cost", nfe=moments[-1].nfe, seconds=f"{seconds:.1f}")
    picture = [
        lanes.row(both("words.row_guess"), [m.x0_hat for m in moments], film=True, wide=True),
        lanes.row(both("words.row_latent"), [m.xt for m in moments], film=True),
    ]
    maps = [
        lanes.row(
            (f"<b>{html.escape(word)}</b>" if index else both("words.whole"))
            + f" {100 * film.share(index):.0f}%",
            [illustrating.overlay(m.x0_hat, grid) for m, grid in zip(moments, film.maps(index), strict=True)],
        )
        for index, word in enumerate(["", *read])
    ]
    status = both("words.status", model=asked.spec.title, seed=asked.seed)
    made = [lanes.lane(html.escape(title(asked)), picture, cost), lanes.lane(both("words.attention"), maps)]
    marks = [f"{m.step} / {m.num_steps}" for m in moments]
    return lanes.final(
        made, marks, status, note=note(read, seen), downloads=download(asked, moments[-1].x0_hat), state=state
    )


def title(asked: Asked) -> str:
    """A prompt, or two, as a heading."""
    said = f"{asked.prompt} → {asked.other}" if asked.other else asked.prompt
    return f"{said} · {asked.style}" if asked.style else said


def note(read: Sequence[str], seen: Verdict | None) -> str:
    """What was read, what the classifier sees, and the training emoji to hold beside the picture."""
    said = f"<p>{both('words.read', words=' · '.join(read))} {both('words.maps')}</p>"
    if seen is None:
        return said
    said += f"<p>{both('words.sees', category=seen.category, percent=round(100 * seen.share))}</p>"
    cells = "".join(
        f'<figure style="display:inline-block;margin:0 14px 6px 0;text-align:center;vertical-align:top">'
        f'<img src="{pieces.address(data.to_float(n.image[None]))}" alt="" width="72" height="72" '
        f'style="border-radius:6px;image-rendering:pixelated;display:inline-block;margin:0">'
        f'<figcaption style="max-width:130px">{html.escape(n.name)}, {n.style}<br>'
        f"{both('words.distance', value=f'{n.distance:.0f}')}"
        f"{'<br>' + both('words.named') if n.named else ''}</figcaption></figure>"
        for n in seen.nearest
    )
    explained = both("words.nearest", side=wording.SIDE, apart=f"{wording.apart():.0f}")
    return f'{said}<p>{explained}</p><div class="nearest">{cells}</div>'


def download(asked: Asked, x: Tensor) -> str:
    """A link to the picture as a PNG, the request inside."""
    request = {"prompt": asked.prompt, "style": asked.style, "negative": asked.negative, "seed": asked.seed}
    request |= {"model": asked.spec.name, "controls": asked.controls}
    request |= {"other": asked.other, "n": asked.num} if asked.other else {}
    image = figures.enlarge(figures.grid(x, len(x)), _DOWNLOAD_SCALE // (2 if len(x) > 1 else 1))
    address = figures.data_uri(figures.png_with_request(image, request))
    return f'<a download="words.png" href="{address}">{both("words.download")}</a>'


def between(asked: Asked, last: WordStep, seconds: float, state: str) -> str:
    """The pictures between two prompts, as one strip that the slider walks along."""
    pictures = list(last.x0_hat.split(1))
    rows = [lanes.row(both("words.row_between"), pictures, film=True, wide=True)]
    cost = both("words.cost", nfe=last.nfe, seconds=pieces.number(seconds))
    marks = [f"{100 * i / (asked.num - 1):.0f}%" for i in range(asked.num)]
    status = both("words.status", model=asked.spec.title, seed=asked.seed)
    return lanes.final(
        [lanes.lane(html.escape(title(asked)), rows, cost)], marks, status, start=0, state=state,
        note=f"<p>{both('words.between_note')}</p>", downloads=download(asked, last.x0_hat),
    )  # fmt: skip


def _side_by_side(x: Tensor) -> Tensor:
    """(B, C, H, W) -> one picture (1, C, H, B W)."""
    return torch.cat(list(x.split(1)), dim=3)


def answer(asked: Asked, film: Film, read: Sequence[str], seen: Verdict | None) -> dict[str, Any]:
    """What the endpoint returns."""
    last = film.moments[-1]
    found: dict[str, Any] = {
        "png": pieces.address(last.x0_hat),
        "film": {
            "x0_hat": pieces.address(torch.cat([m.x0_hat for m in film.moments]), len(film.moments)),
            "xt": pieces.address(torch.cat([m.xt for m in film.moments]), len(film.moments)),
        },
        "steps": [m.step for m in film.moments],
        "words": list(read),
        "attention": [
            [[round(v, 4) for v in row] for row in last.attention[0, word].tolist()]
            for word in range(1, len(read) + 1)
        ],
        "nfe": last.nfe,
        "category": None if seen is None else seen.category,
        "share": None if seen is None else round(seen.share, 4),
        "nearest": None,
    }
    if seen is not None:
        found["nearest"] = [
            {"name": n.name, "style": n.style, "distance": round(n.distance, 2), "named": n.named}
            for n in seen.nearest
        ]
    return found
