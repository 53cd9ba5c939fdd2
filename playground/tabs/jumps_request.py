"""What the Jumps section is asked for, checked: one model for each way from noise to data."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from torch import Tensor

from playground import judge, jumps, validation
from playground.spec import Jumps, ModelSpec
from playground.tabs import common, digit_pad, mine
from playground.validation import InvalidInput, Term

CAPABILITY = {"one": "HasLatent", "few": "Jumps", "many": "HasScore"}
MAX_STEPS = 1000


@dataclass(frozen=True)
class Models:
    """A model for each of `jumps.KINDS`: its name as it was asked for, and its specification."""

    names: Mapping[str, str]
    specs: Mapping[str, ModelSpec]

    def obtain(self, session: str) -> dict[str, Any]:
        """The models themselves; raises InvalidInput where one has no weights."""
        return {key: common.obtain(name, session) for key, name in self.names.items()}


@dataclass(frozen=True)
class AskedWalk:
    """A checked request for the ways from one noise."""

    models: Models
    seed: int
    label: int | None
    num_steps: int


@dataclass(frozen=True)
class AskedGuesses:
    """A request for draws behind one noisy picture, checked but for the level.

    Attributes:
        models: that draw.
        x0: (1, C, H, W) in [-1, 1], the picture before any noise.
        t: the level of noise; what was asked for until `at` has checked it.
        seed: of the noise and of all draws.
    """

    models: Models
    x0: Tensor
    t: Any
    seed: int

    def at(self, few: Jumps) -> "AskedGuesses":
        """The same, its level checked; raises InvalidInput where this very model with few jumps lacks it."""
        return replace(self, t=validation.integer(self.t, Term("jumps.level"), 1, noisiest(few)))


def offered(kind: str, owner: str = "") -> list[tuple[str, str]]:
    """(title, name) of every model of digits that goes a way, those with weights first."""
    found = common.offered(CAPABILITY[kind], owner)
    order = jumps.names(kind)
    kept = [(title, name) for title, name in found if goes(kind, common.look_up(name, CAPABILITY[kind]))]
    return sorted(kept, key=lambda one: (not mine.is_own(one[1]), order.index(mine.plain(one[1]))))


def goes(kind: str, spec: ModelSpec) -> bool:
    """Whether a model draws digits in this way."""
    return jumps.kind(spec) == kind and spec.dataset == judge.spec().dataset


def first(kind: str) -> str:
    """The model that is shown first."""
    return jumps.names(kind)[0]


def noisiest(few: Jumps) -> int:
    """The last level of a model with few jumps: its training decides how many there are."""
    return few.num_timesteps - 1


def last_level(name: Any, session: str) -> int:
    """The noisiest level of a model with few jumps, as this session has it.

    Raises:
        InvalidInput: if there is no such model, or it has no weights.
        WeightsError: if these are damaged.
    """
    common.look_up(name, CAPABILITY["few"])
    return noisiest(cast(Jumps, common.obtain(name, session)))


def models(one: Any, few: Any, many: Any) -> Models:
    """Check a model for each way; None stands for the first."""
    names, specs = {}, {}
    for key, value in zip(jumps.KINDS, (one, few, many), strict=True):
        name = first(key) if value is None else value
        spec = common.look_up(name, CAPABILITY[key])
        if not goes(key, spec):
            raise InvalidInput("jumps.other_way", model=spec.title, way=Term(f"jumps.way_{key}"))
        names[key], specs[key] = name, spec
    return Models(names, specs)


def walk(one: Any, few: Any, many: Any, seed: Any, label: Any, num_steps: Any) -> AskedWalk:
    """Check a request for the ways from one noise."""
    steps = validation.integer(num_steps, Term("jumps.steps"), 1, MAX_STEPS)
    return AskedWalk(models(one, few, many), validation.seed(seed), validation.label(label), steps)


def guesses(one: Any, few: Any, many: Any, picture: Any, t: Any, seed: Any) -> AskedGuesses:
    """Check a request for draws behind one noisy picture, all but the level: that is the model's to say."""
    return AskedGuesses(models(one, few, many), digit_pad.read(picture), t, validation.seed(seed))
