"""What the Reverse section is asked for, checked, by the roles that a model's own controls play."""

from dataclasses import dataclass
from typing import Any

from playground import registry, reversing, validation
from playground.spec import ModelSpec
from playground.tabs import common
from playground.validation import InvalidInput, Term

NONE = "–"
ROLES = ("num_steps", "guidance", "eta")


@dataclass(frozen=True)
class Asked:
    """A checked request: one model, one noise, one or two samplers.

    Attributes:
        name: of the model, as it was asked for.
        spec: its specification.
        seed: of the noise.
        label: the class that is asked for, None for none.
        controls: for each sampler the values of the model's controls.
    """

    name: str
    spec: ModelSpec
    seed: int
    label: int | None
    controls: tuple[dict[str, Any], ...]


def start_name() -> str:
    """The model that is shown first: of those with weights, if there are any, the one with most samplers."""

    def samplers(name: str) -> int:
        knob = reversing.knob(registry.spec(name), "sampler")
        return len(knob.choices) if knob else 0

    return max(registry.names("Denoises"), key=lambda name: (registry.shipped(name), samplers(name)))


def settings(spec: ModelSpec) -> list[dict[str, Any]]:
    """Choices, limits and visibility of every box of the form, for a model."""
    sampler = reversing.knob(spec, "sampler")
    names = list(sampler.choices) if sampler else [NONE]
    found: list[dict[str, Any]] = [
        {"choices": names, "value": sampler.default if sampler else NONE, "visible": sampler is not None},
        {"choices": [NONE, *names], "value": NONE, "visible": sampler is not None},
    ]
    for role in (ROLES[0], *ROLES):  # steps twice, for either sampler
        knob = reversing.knob(spec, role)
        if knob is None:
            found.append({"minimum": 0, "maximum": 1, "value": 0, "step": 0.05, "visible": False})
        else:
            limits = {"minimum": knob.minimum, "maximum": knob.maximum, "step": knob.step}
            found.append(limits | {"value": knob.default, "visible": True})
    return found


def check(name: Any, seed: Any, label: Any, samplers: list[dict[str, Any]]) -> Asked:
    """Check a request; raises InvalidInput.

    `samplers` holds, for every way, what plays the roles ``sampler``, ``num_steps``, ``guidance`` and
    ``eta``; None leaves one at its default.
    """
    spec = common.look_up(name, "Denoises")
    seed, wanted = validation.seed(seed), validation.label(label, spec)
    return Asked(name, spec, seed, wanted, tuple(controls(spec, roles) for roles in samplers))


def controls(spec: ModelSpec, roles: dict[str, Any]) -> dict[str, Any]:
    """What plays a role, as values of the model's own controls."""
    values = {}
    for role, value in roles.items():
        knob = reversing.knob(spec, role)
        if knob is not None and value is not None:
            values[knob.key] = value
        elif value is not None:
            raise InvalidInput("diffuse.no_role", model=spec.title, role=Term(f"diffuse.role_{role}"))
    return validation.controls(spec, values)
