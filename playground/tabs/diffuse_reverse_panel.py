"""What the Reverse section shows: ways while they are gone, then all their frames, and the verdicts."""

from typing import Any

from playground import judge, reversing
from playground.locale import both
from playground.reversing import Way
from playground.tabs import diffuse_lanes as lanes
from playground.tabs import pieces
from playground.tabs.diffuse_reverse_request import NONE, Asked


def title(asked: Asked, place: int) -> str:
    """What a way is called: its sampler, or its model where there is only one way."""
    knob, steps = reversing.knob(asked.spec, "sampler"), reversing.knob(asked.spec, "num_steps")
    values = asked.controls[place]
    said = str(values[knob.key]) if knob else asked.spec.title
    return f"{said} · {values[steps.key]}" if steps else said


def facts(way: Way) -> str:
    """What a way has cost, and how much of it is shown if not all."""
    nfe = f"{way.nfe:,}" if way.nfe else NONE
    cost = both("diffuse.cost", nfe=nfe, milliseconds=pieces.number(1000 * way.seconds))
    if way.done and len(way.frames) < way.num_steps:
        cost += " · " + both("diffuse.thinned", shown=len(way.frames), num_steps=f"{way.num_steps:,}")
    return cost


def now(asked: Asked, ways: list[Way]) -> tuple[list[dict[str, Any]], str]:
    """The latest step of every way, and how far they are."""
    shown = []
    for place, way in enumerate(ways):
        last = way.last
        pictures = [] if last is None else [last.xt, last.eps_hat / 2, last.x0_hat]
        keys = ("row_xt", "row_eps", "row_x0")
        rows = [lanes.row(both(f"diffuse.{k}"), [x.cpu()]) for k, x in zip(keys, pictures, strict=False)]
        shown.append(lanes.lane(title(asked, place), rows, facts(way)))
    share = sum(way.share for way in ways) / len(ways)
    left = [way.left for way in ways]
    seconds = pieces.number(None if None in left else sum(value or 0 for value in left))
    return shown, both("diffuse.under_way", percent=round(100 * share), seconds=seconds)


def done(asked: Asked, ways: list[Way], state: str) -> str:
    """Every frame of every way under one slider, and where the class was decided."""
    moments, places = reversing.aligned(ways)
    drawn = [told(asked, ways[i], title(asked, i), places[i]) for i in range(len(ways))]
    marks = [f"t = {round(moment * ways[0].model.num_timesteps)}" for moment in moments]
    status = both("diffuse.reverse_status", model=asked.spec.title, seed=asked.seed) + given(asked)
    note = both("diffuse.reverse_note")
    if any(way.frames[0].apart for way in ways):
        note += " " + both("diffuse.apart_note")
    return lanes.final(drawn, marks, status, note=note, state=state)


def given(asked: Asked) -> str:
    """Whether a class was asked for."""
    if not asked.spec.conditional:
        return ""
    return " · " + (
        both("diffuse.no_label") if asked.label is None else both("diffuse.with_label", label=asked.label)
    )


def told(asked: Asked, way: Way, name: str, places: list[int]) -> dict[str, Any]:
    """One way as a lane: its rows at the places, what the classifier reads, and the verdict."""
    frames = [way.frames[place] for place in places]
    rows = [
        lanes.row(both("diffuse.row_xt"), [f.xt for f in frames], film=True),
        lanes.row(both("diffuse.row_eps"), [f.eps_hat / 2 for f in frames], film=True),
        lanes.row(both("diffuse.row_x0"), [f.x0_hat for f in frames], film=True),
    ]
    for index, key in enumerate(("with", "without")):
        if all(f.apart for f in frames):
            rows.append(lanes.row(both(f"diffuse.row_{key}"), [f.apart[index] for f in frames if f.apart]))
    if asked.spec.dataset != judge.spec().dataset:
        return lanes.lane(name, rows, facts(way))
    seen = reversing.probabilities(way)
    at = reversing.decided(seen)
    says = [
        both("diffuse.reads", label=int(p.argmax()), sure=f"{p.max().item():.0%}")
        + both("diffuse.decided", label=int(seen[-1].argmax()), t=way.frames[at].t)
        for p in seen[places]
    ]
    line = next(index for index, place in enumerate(places) if place >= at)
    return lanes.lane(name, rows, facts(way), says=says, classes=lanes.classes(seen[places], line))


def answer(asked: Asked, way: Way) -> dict[str, Any]:
    """What the endpoint returns."""
    frames = way.frames
    rows = {"xt": [f.xt for f in frames], "eps_hat": [f.eps_hat / 2 for f in frames]}
    rows["x0_hat"] = [f.x0_hat for f in frames]
    digits = asked.spec.dataset == judge.spec().dataset
    seen = reversing.probabilities(way) if digits else None
    return {
        "png": pieces.address(frames[-1].x0_hat),
        "films": {key: lanes.row("", row)["strip"] for key, row in rows.items()},
        "t": [frame.t for frame in frames],
        "nfe": way.nfe,
        "milliseconds": 1000 * way.seconds,
        "classes": None if seen is None else seen.argmax(1).tolist(),
        "decided_at": None if seen is None else frames[reversing.decided(seen)].t,
    }
