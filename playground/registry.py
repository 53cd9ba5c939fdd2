"""The models there are: discovered in ``models/``, built fresh for training, loaded once for all others."""

import importlib
import pkgutil
import threading
from collections import OrderedDict
from functools import cache
from typing import Any

import torch

from playground import device, hub, models, weights
from playground.locale import Told
from playground.spec import GenerativeModel, ModelSpec

MAX_BYTES = 2**30  # of loaded weights; the least recently used model makes room

_LOADED: OrderedDict[tuple[str, str], GenerativeModel] = OrderedDict()
_LOCK = threading.Lock()  # guards the two dictionaries
_NAME_LOCKS: dict[str, threading.Lock] = {}  # one loads, the others wait


class UnknownModel(Told, ValueError):
    """No model has that name."""


@cache
def _specs() -> dict[str, ModelSpec]:
    found: dict[str, ModelSpec] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(models.__path__) if not m.name.startswith("_")):
        for spec_ in importlib.import_module(f"{models.__name__}.{module}").SPECS:
            if spec_.name in found:
                raise RuntimeError(
                    f"Two models are called {spec_.name!r}; the second is in models/{module}.py."
                )
            found[spec_.name] = spec_
    return found


def names(capability: str | None = None) -> list[str]:
    """Every model trained here, or those with a capability such as ``Samples``: by family, then by year."""
    return _named(capability, False)


def published(capability: str | None = None) -> list[str]:
    """Every model that others trained and published, downloaded on first use, in the same order."""
    return _named(capability, True)


def _named(capability: str | None, from_elsewhere: bool) -> list[str]:
    known = [s for s in _specs().values() if (s.published is not None) == from_elsewhere]
    kept = [s for s in known if capability is None or capability in s.capabilities]
    families = list(dict.fromkeys(s.family for s in sorted(kept, key=lambda s: (s.year, s.name))))
    return [s.name for s in sorted(kept, key=lambda s: (families.index(s.family), s.year, s.name))]


def spec(name: str) -> ModelSpec:
    """The specification of a model.

    Raises:
        UnknownModel: if there is none of that name.
    """
    try:
        return _specs()[name]
    except (KeyError, TypeError):
        known = ", ".join(names())
        raise UnknownModel("errors.unknown_model", name=repr(str(name)[:60]), known=known) from None


def shipped(name: str) -> bool:
    """Whether a model's trained weights are here."""
    return weights.shipped(spec(name).name)


def card(name: str) -> dict[str, Any]:
    """The card of a model's weights; raises WeightsError if there is none."""
    return weights.read_card(spec(name).name)


def build(name: str, seed: int = 0) -> GenerativeModel:
    """A fresh, untrained model, the caller's own."""
    return spec(name).build(seed)


def load(name: str) -> GenerativeModel:
    """The trained model, shared by everyone: in eval mode, on `device.pick()`, not to be changed.

    Raises:
        UnknownModel: if there is no such model.
        weights.WeightsError: if its weights are missing, damaged or do not fit.
    """
    spec_ = spec(name)
    where = device.pick()
    key = (name, str(where))
    with _LOCK:
        name_lock = _NAME_LOCKS.setdefault(name, threading.Lock())
    with name_lock:
        with _LOCK:
            if key in _LOADED:
                _LOADED.move_to_end(key)
                return _LOADED[key]
        if spec_.published is None:
            model = _as_trained(spec_)
            weights.load_state(name, model)
        else:
            model = hub.open_published(spec_)
        model.eval().requires_grad_(False).to(where)
        with _LOCK:
            _LOADED[key] = model
            _evict()
        return model


def _as_trained(spec_: ModelSpec) -> GenerativeModel:
    """A model with the layers that its training's switches added or took away."""
    model = spec_.build()
    fixed = {switch.key for switch in spec_.switches if not switch.live}
    for _, values in weights.read_card(spec_.name).get("changes", []):
        if layers := {key: value for key, value in values.items() if key in fixed}:
            model.tune(layers)
    return model


def teach(spec_: ModelSpec, student: GenerativeModel) -> str:
    """Let a fresh model learn from the shipped one that its spec starts from.

    Returns:
        The sha256 of the teacher's weights; nothing if the spec names none or it is not shipped, and the
        student stays as it was built.

    Raises:
        weights.WeightsError: if the teacher's weights are damaged.
    """
    if not spec_.starts_from or not shipped(spec_.starts_from):
        return ""
    student.learn_from(load(spec_.starts_from))
    return str(card(spec_.starts_from)["sha256"])


def unload() -> None:
    """Forget every loaded model; those still in use live on until their users are done."""
    with _LOCK:
        _LOADED.clear()


def _evict() -> None:
    while len(_LOADED) > 1 and sum(map(_num_bytes, _LOADED.values())) > MAX_BYTES:
        _LOADED.popitem(last=False)


def _num_bytes(model: torch.nn.Module) -> int:
    return sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
