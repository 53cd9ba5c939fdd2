"""What the Restore section shows: the damage, the draws on their way, and what was measured."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from playground import figures, mending, restoring
from playground.locale import both
from playground.mending import Done, Job
from playground.spec import SampleStep
from playground.tabs import diffuse_lanes as lanes
from playground.tabs import pieces

_GAP = -0.25  # the grey between two pictures


def sheet(x: Tensor) -> Tensor:
    """(B, C, H, W) -> one picture (1, C, H', W'), as square as it can be, a grey line between two."""
    if len(x) == 1:
        return x
    columns = figures.columns_for(len(x))
    x = F.pad(x, (0, 1, 0, 1), value=_GAP)
    x = F.pad(x, (0, 0, 0, 0, 0, 0, 0, -len(x) % columns), value=_GAP)
    rows = x.unflatten(0, (-1, columns)).permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)
    return rows[None, :, :-1, :-1]


def now(job: Job, moment: SampleStep) -> str:
    """While it is computed."""
    rows = [_original(job), _given(job)] if job.task in mending.DRAWN else [_original(job)]
    if job.task != "likelihood":
        rows.append(lanes.row(both(f"diffuse.now_{job.task}"), [sheet(moment.x)], wide=len(moment.x) > 1))
    share = both("latent.share", percent=round(100 * moment.step / moment.num_steps))
    return lanes.live([lanes.lane(both(f"diffuse.task_{job.task}"), rows)], share)


def done(job: Job, found: Done, seconds: float) -> str:
    """The result, with the way to it under a slider."""
    num = len(found.frames[-1])
    if num > 1:
        cost = pieces.cost(found.nfe, seconds, num)
    else:
        cost = both("diffuse.cost", nfe=f"{found.nfe:,}", milliseconds=pieces.number(1000 * seconds))
    rows = [_original(job)]
    if job.task in mending.DRAWN:
        rows += [_given(job)] if job.task != "sdedit" else []
        frames = [sheet(frame) for frame in found.frames]
        rows.append(lanes.row(both("diffuse.row_draws"), frames, film=True, wide=num > 1))
    elif job.task == "invert":
        rows.append(lanes.row(both("diffuse.row_trip"), found.frames, film=True))
        rows.append(lanes.row(both("diffuse.row_noise"), [found.numbers["noise"] / 2]))
        rows.append(lanes.row(both("diffuse.row_back"), found.frames[-1:]))
    lane = lanes.lane(both(f"diffuse.task_{job.task}"), rows, cost)
    status = both("diffuse.restore_status", model=job.spec.title, seed=job.seed)
    return lanes.final([lane], found.marks, status, note=note(job, found))


def _original(job: Job) -> dict[str, Any]:
    key = "row_sketch" if job.task == "sdedit" else "row_original"
    return lanes.row(both(f"diffuse.{key}"), [job.x])


def _given(job: Job) -> dict[str, Any]:
    return lanes.row(both("diffuse.row_given"), [mending.given(job)])


def note(job: Job, found: Done) -> str:
    """The numbers, each with what it counts."""
    n = found.numbers
    if job.task == "likelihood":
        said = both(
            "diffuse.note_likelihood", num=n["num"], times=restoring.BOUND_TIMES, steps=mending.FLOW_STEPS
        )
        if job.label is not None:
            said += " " + both("diffuse.note_given_label", label=job.label)
        return _bits(n) + f"<p>{said}</p>"
    if job.task == "invert":
        rows = [[str(e["num_steps"]), f"{e['rmse']:.4f}", f"{e['largest']:.3f}"] for e in n["errors"]]
        heads = ("diffuse.head_steps", "diffuse.head_rmse", "diffuse.head_largest")
        said = both("diffuse.note_invert", mean=f"{n['mean']:.3f}", std=f"{n['std']:.3f}")
        return pieces.table(heads, rows) + f"<p>{said}</p>"
    said = both(
        "diffuse.note_sketch" if job.task == "sdedit" else "diffuse.note_drawn",
        num=n["num"], given=f"{n['rmse_given']:.3f}", drawn=f"{n['rmse_drawn']:.3f}",
        mean=f"{n['rmse_mean']:.3f}",
    )  # fmt: skip
    if "classes" in n:
        said += " " + both(
            "diffuse.note_classes_sketch" if job.task == "sdedit" else "diffuse.note_classes",
            before=n["class_before"], given=n["class_given"], after=", ".join(map(str, n["classes"])),
        )  # fmt: skip
    return f"<p>{said}</p><p>{both(f'diffuse.note_{job.task}')}</p>"


def _bits(n: Any) -> str:
    tables = ""
    for way in ("flow", "bound"):  # of dequantised and of discrete pixels: never in one column
        found = n[way]
        others = f"{found['mean']:.2f} ± {found['error']:.2f}"
        row = [both("diffuse.bits"), f"{found['own']:.2f}", others, str(found["nfe"])]
        heads = (f"diffuse.by_{way}", "diffuse.head_own", "diffuse.head_others", "diffuse.head_nfe")
        tables += pieces.table(heads, [row])
    return tables


def answer(job: Job, found: Done) -> dict[str, Any]:
    """What the endpoint returns."""
    numbers = {key: value for key, value in found.numbers.items() if key != "noise"}
    noise = found.numbers.get("noise")
    return {
        "png": pieces.address(found.frames[-1]),
        "given": pieces.address(mending.given(job)),
        "noise": None if noise is None else pieces.address(noise / 2),
        "nfe": found.nfe,
        "numbers": numbers,
    }
