"""The Latent tab's sections: each yields how much is done, 0 to 1, and at last what its panel is sent."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from playground import data, directions, families, judge, latent
from playground.latent import Smoothness
from playground.locale import both
from playground.spec import HasStyles
from playground.tabs import latent_panel as panel
from playground.tabs import pieces
from playground.tabs.latent_request import Asked, code, ends

NUM_CODES = 2000  # test pictures on the map, latents behind principal directions
NUM_CELLS = 20  # a side of the map
NUM_DIRECTIONS = 8
SIGMAS = torch.linspace(-3, 3, 13)
STRENGTHS = torch.linspace(-1.5, 1.5, 13)
_SURE = 0.6

Section = Iterator[float | str]
_CODES: "WeakKeyDictionary[Any, tuple[Tensor, Tensor, Tensor]]" = WeakKeyDictionary()


class Decoded(NamedTuple):
    """Pictures (B, C, H, W), and in HTML what each of them has cost."""

    x: Tensor
    cost: str


def _decoded(model: Any, asked: Asked, z: Tensor, low: float = 0.0) -> Generator[float, None, Decoded]:
    """Decode latents, reporting the share from `low` to 1."""
    parts: list[Tensor] = []
    seconds, start = 0.0, perf_counter()
    for part in latent.decode(model, z, asked.labels(len(z)), asked.chunk, asked.spread):
        seconds += perf_counter() - start
        parts.append(part)
        yield low + (1 - low) * sum(map(len, parts)) / len(z)
        start = perf_counter()  # what the page does with a share is not the model's time
    return Decoded(torch.cat(parts), f"&nbsp;· {pieces.cost(model.decode_nfe, seconds, len(z))}")


def paths(
    model: Any, asked: Asked, names: Sequence[str], num: int
) -> Generator[float, None, tuple[dict[str, tuple[Tensor, Tensor, Smoothness]], str]]:
    """Walk each named path once: its latents, its pictures and how evenly they change; and the cost."""
    a, b = ends(model, asked)
    z = torch.cat([latent.PATHS[name](a, b, latent.moments(num)) for name in names])
    x, cost = yield from _decoded(model, asked, z)
    found = zip(names, z.split(num), x.split(num), strict=True)
    return {name: (codes, seen, latent.measure(seen, asked.spec)) for name, codes, seen in found}, cost


def interpolation(model: Any, asked: Asked, num: int) -> Section:
    """Every way from one end to the other, strip below strip, with their numbers."""
    found, cost = yield from paths(model, asked, list(latent.PATHS), num)
    if isinstance(model, HasStyles):
        z, t = ends(model, asked), latent.moments(num)
        x = latent.style_path(model, z, asked.labels(2), t, asked.spread)
        found["w"] = z, x, latent.measure(x, asked.spec)
    strips = [_strip(asked, name, *way) for name, way in found.items()]
    _, x, smooth = next(iter(found.values()))
    status = both("latent.from_to", model=asked.spec.title) + f"<b>{_end(asked, 0)} → {_end(asked, 1)}</b>"
    yield panel.reel(
        [strip for strip, _ in strips], [f"{100 * t:.0f}%" for t in latent.moments(num).tolist()],
        status + held(asked) + cost, note=both(f"latent.paths_{smooth.seen_by}"),
        thumbs=_thumbs(model, asked, (0, 1)), history=[line for _, line in strips],
        downloads=panel.downloads(x, f"{asked.spec.name}-{asked.seeds[0]}-{asked.seeds[1]}"),
    )  # fmt: skip


def _strip(
    asked: Asked, name: str, z: Tensor, x: Tensor, smooth: Smoothness
) -> tuple[dict[str, Any], list[str]]:
    """One path as a row of the reel and as a line of the table."""
    norms = z.flatten(1).norm(dim=1)
    numbers = {
        "length": f"{smooth.length:.2f}",
        "detour": f"{smooth.detour:.2f}",
        "uneven": f"{smooth.unevenness:.2f}",
    }
    middle, expected = f"{norms[len(norms) // 2]:.1f}", f"{z[0].numel() ** 0.5:.1f}"
    note = both(f"latent.{name}_note", middle=middle, expected=expected, **numbers)
    way = f"{_end(asked, 0)} → {_end(asked, 1)}, {both(f'latent.{name}_short')}"
    steps = [round(step, 4) for step in smooth.steps]
    return panel.row(both(f"latent.{name}"), x, note, steps=steps), [asked.spec.title, way, *numbers.values()]


def _end(asked: Asked, index: int) -> str:
    if asked.pictures[index] is not None:
        return both("latent.your_picture")
    return both("latent.seed_number", seed=asked.seeds[index])


def held(asked: Asked) -> str:
    """Which class is held, in HTML; nothing where the model takes none."""
    return "" if asked.label is None else f"&nbsp;· {both('latent.class_held', label=asked.label)}"


def _thumbs(model: Any, asked: Asked, indices: Sequence[int]) -> list[dict[str, str]]:
    """An own picture as the model sees it and what it is read as; and what its code decodes to."""
    found = []
    for index in indices:
        x = asked.pictures[index]
        if x is None:
            continue
        again = torch.cat(list(latent.decode(model, code(model, asked, x), asked.labels(1), 1)))
        found.append(panel.thumb(both("latent.as_seen") + _read_as(x, asked), x))
        found.append(panel.thumb(both("latent.again"), again))
    return found


def _read_as(x: Tensor, asked: Asked) -> str:
    """What the classifier makes of a digit; a picture that is none is told so."""
    if not is_digits(asked):
        return ""
    label, sure = families.read(x)
    return " " + both("latent.read" if sure >= _SURE else "latent.no_digit", label=label, sure=f"{sure:.0%}")


def is_digits(asked: Asked) -> bool:
    """Whether the classifier knows what this model draws."""
    return asked.spec.dataset == judge.spec().dataset


def grid(model: Any, asked: Asked, others: tuple[int, int] | None, num: int) -> Section:
    """The pictures between two latents, or four."""
    corners = ends(model, asked)
    if others is not None:
        more = [latent.draw(model, seed, asked.spread) for seed in others]
        corners = torch.cat([corners, *more])
    x, cost = yield from _decoded(model, asked, latent.sheet(corners, num))
    names = [_end(asked, 0), _end(asked, 1)]
    if others is None:
        names = [names[0], "", "", names[1]]
    else:
        names += [both("latent.seed_number", seed=seed) for seed in others]
    note = both("latent.grid_note_2" if others is None else "latent.grid_note_4")
    status = both("latent.grid_status", model=asked.spec.title, num=num * num) + held(asked) + cost
    yield panel.plane(x, num, status, corners=names, note=note)


def codes(model: Any, asked: Asked) -> Generator[float, None, tuple[Tensor, Tensor, Tensor]]:
    """Codes, pictures and labels of test pictures; computed by the first who asks."""
    if model not in _CODES:
        images, parts = data.load(asked.spec.dataset, "test"), []
        for part in directions.encode(model, images, NUM_CODES):
            parts.append(part)
            yield 0.8 * sum(len(labels) for _, _, labels in parts) / min(NUM_CODES, len(images))
        z, x, labels = (torch.cat(found) for found in zip(*parts, strict=True))
        _CODES[model] = z, x, labels
    return _CODES[model]


def chart(model: Any, asked: Asked) -> Section:
    """The map: where test pictures lie, and what every place decodes to."""
    z, _, labels = yield from codes(model, asked)
    plane = directions.plane(z)
    x, cost = yield from _decoded(model, asked, plane.cells(NUM_CELLS), 0.8)
    places = plane.place(z)
    inside = ((places >= 0) & (places <= 1)).all(1)
    across, up = (1000 * places[inside]).round().int().T
    points = [
        list(point)
        for point in zip(across.tolist(), (1000 - up).tolist(), labels[inside].tolist(), strict=True)
    ]
    dims = z[0].numel()
    key = "latent.map_note_2" if dims == 2 else "latent.map_note"
    note = both(key, dims=dims, share=f"{plane.share:.0%}")
    status = both("latent.map_status", model=asked.spec.title, num=len(z)) + held(asked) + cost
    names = list(data.load(asked.spec.dataset, "test").classes)
    yield panel.plane(x, NUM_CELLS, status, points=points, names=names, note=note)


def arithmetic(model: Any, asked: Asked, source: int, target: int) -> Section:
    """A code plus differences of means: from class to class, and along what is measured on strokes.

    A model that takes labels decodes with the one that the code was found with, the source's.
    """
    z, x, labels = yield from codes(model, asked)
    own = asked.pictures[0]
    if own is None:
        asked = asked if asked.label is None else replace(asked, label=source)
        rows = (labels == source).nonzero()[:, 0]
        chosen = rows[asked.seeds[0] % len(rows)]
        base, seen = z[chosen][None], x[chosen][None]
    else:
        source = _starting_class(own, asked, source)
        base, seen = code(model, asked, own), own
    means = directions.class_means(z, labels)
    names = data.load(asked.spec.dataset, "test").classes
    way = both("latent.to_class", source=names[source], target=names[target])
    moves = {way: means[target] - means[source]}
    for name, values in directions.strokes(x).items():
        moves[both(f"latent.{name}")] = directions.contrast(z, values, labels)
    weights = STRENGTHS.view(-1, *[1] * (z.dim() - 1))
    shifted = torch.cat([base + weights * move for move in moves.values()])
    pictures, cost = yield from _decoded(model, asked, shifted, 0.8)
    strips = zip(moves, pictures.split(len(STRENGTHS)), strict=True)
    rows_ = [panel.row(title, strip) for title, strip in strips]
    again = pictures[len(STRENGTHS) // 2][None]
    thumbs = [panel.thumb(both("latent.as_seen") + _read_as(seen, asked), seen)]
    yield panel.reel(
        rows_, [f"{s:+.2f}" for s in STRENGTHS.tolist()],
        both("latent.arithmetic_status", model=asked.spec.title) + held(asked) + cost,
        start=len(STRENGTHS) // 2, note=_arithmetic_note(asked, len(z)),
        thumbs=[*thumbs, panel.thumb(both("latent.again"), again)],
    )  # fmt: skip


def _starting_class(own: Tensor, asked: Asked, source: int) -> int:
    """The class an own picture starts from: the held one, else what it is read as."""
    if asked.label is not None:
        return asked.label
    return families.read(own)[0] if is_digits(asked) else source


def _arithmetic_note(asked: Asked, num: int) -> str:
    note = both("latent.arithmetic_note", num=num)
    return note if asked.label is None else f"{note} {both('latent.arithmetic_held', label=asked.label)}"


def principal(model: Any, asked: Asked) -> Section:
    """One latent along the principal directions of the generator's features."""
    found = directions.principal(model, NUM_DIRECTIONS, asked.labels(NUM_CODES), NUM_CODES)
    yield 0.5
    z = ends(model, asked)[:1]
    x = directions.walk(model, z, found, SIGMAS, asked.labels(1), asked.spread)
    rows = []
    for index, (strip, share) in enumerate(zip(x, found.share.tolist(), strict=True)):
        note = both("latent.variance", share=f"{share:.1%}")
        key = f"{asked.name}-{index + 1}"
        rows.append(panel.row(both("latent.direction", number=index + 1), strip, note, key=key))
    status = (
        both("latent.directions_status", model=asked.spec.title) + f"<b>{_end(asked, 0)}</b>" + held(asked)
    )
    kind = "styles" if found.in_styles else "features"
    yield panel.reel(
        rows, [f"{s:+.1f} σ" for s in SIGMAS.tolist()], status, start=len(SIGMAS) // 2,
        note=both(f"latent.directions_{kind}", num=NUM_CODES),
    )  # fmt: skip


@torch.no_grad()
def styles(model: Any, asked: Asked, other: int | None = None) -> Section:
    """Style mixing: the layers below a crossing take one latent's style, the layers above another's.

    Where the model takes labels, the other latent's is `other`; by default its seed decides.
    """
    where, num = judge.device_of(model), model.num_styles
    z = ends(model, asked).to(where)
    pair = None if asked.label is None else (asked.label, asked.seeds[1] % 10 if other is None else other)
    labels = None if pair is None else torch.tensor(pair, device=where)
    first, second = model.truncate(model.styles(z, labels), asked.spread, labels)
    layers = torch.arange(num + 1, device=where)[:, None, None]
    below = torch.arange(num, device=where)[None, :, None]
    crossed = torch.where(below < layers, second, first)
    single = torch.where(below == layers - 1, second, first)
    yield 0.3
    x = model.synthesise(torch.cat([crossed, single])).float().cpu()
    titles = ("latent.crossed", "latent.single")
    rows = [panel.row(both(title), strip) for title, strip in zip(titles, x.split(num + 1), strict=True)]
    status = both("latent.styles_status", model=asked.spec.title, num=num)
    status += f"<b>{_end(asked, 0)} → {_end(asked, 1)}</b>"
    if pair is not None:
        status += f"&nbsp;· {both('latent.class_to', label=pair[0], to=pair[1])}"
    yield panel.reel(rows, [f"{k} / {num}" for k in range(num + 1)], status, note=both("latent.styles_note"))
