"""What the Restore section is asked for, checked."""

from collections.abc import Mapping
from typing import Any

from playground import judge, mending, validation
from playground.mending import Job
from playground.tabs import common, digit_pad
from playground.validation import InvalidInput, Term

LIMITS: dict[str, tuple[float, float, float, float]] = {  # lowest, highest, usual, step
    "num": (1, 9, 4, 1),
    "others": (2, 64, 16, 1),
    "num_steps": (1, 250, 50, 1),
    "guidance": (0, 6, 1, 0.1),
    "sigma": (0.05, 2, 0.5, 0.05),
    "strength": (0.05, 1, 0.5, 0.05),
    "rounds": (1, 10, 4, 1),
}
FOR: dict[str, tuple[str, ...]] = {  # which tasks a box is for
    "num": mending.DRAWN,
    "others": ("likelihood",),
    "num_steps": (*mending.DRAWN, "invert"),
    "guidance": mending.DRAWN,
    "factor": ("super",),
    "sigma": ("denoise",),
    "strength": ("sdedit",),
    "rounds": ("inpaint", "super"),
}
_WHOLE = ("num", "others", "num_steps", "rounds")


def check(
    name: Any, task: Any, picture: Any, mask: Any, label: Any, seed: Any, boxes: Mapping[str, Any]
) -> Job:
    """Check a request; raises InvalidInput. What a task does not use is not looked at."""
    spec = common.look_up(name, "HasScore")
    task = validation.choice(task, Term("diffuse.task"), mending.TASKS)
    if spec.dataset != judge.spec().dataset:
        raise InvalidInput("diffuse.no_digits", model=spec.title)
    wanted, checked = validation.label(label, spec), validation.seed(seed)
    values: dict[str, Any] = {
        "num" if key == "others" else key: box(key, boxes[key]) for key in FOR if task in FOR[key]
    }
    if task == "inpaint":
        values["mask"] = digit_pad.read_mask(mask)
    return Job(task, spec, digit_pad.read(picture), wanted, checked, **values)


def box(key: str, value: Any) -> float:
    """One number, within the limits of its slider."""
    name = Term(f"diffuse.box_{key}")
    if key == "factor":
        allowed = [str(factor) for factor in mending.FACTORS]
        return int(validation.choice(str(value) if isinstance(value, int) else value, name, allowed))
    low, high, _, _ = LIMITS[key]
    if key in _WHOLE:
        return validation.integer(value, name, int(low), int(high))
    return validation.number(value, name, low, high)
