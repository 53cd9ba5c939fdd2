"""Models trained in the page: ``mine:NAME``, or ``mine:NAME@DATASET`` off the data set of their spec."""

from dataclasses import replace
from typing import Any

from playground import jobs, registry, validation
from playground.job import AT
from playground.spec import ModelSpec
from playground.tabs.train_request import data_title, datasets
from playground.validation import InvalidInput

MARK = "mine:"  # before `Request.called`


def is_own(name: str) -> bool:
    """Whether a name is that of a model trained in the page."""
    return name.startswith(MARK)


def plain(name: str) -> str:
    """The name that the registry knows, of a model trained in the page or of any other."""
    return name.removeprefix(MARK).partition(AT)[0] if is_own(name) else name


def title(name: str, spec: ModelSpec) -> str:
    """What a model is called in a list: a star, and its data set where needed, tell it from its twins."""
    if not is_own(name):
        return spec.title
    return f"★ {spec.title}" + (f" · {data_title(spec.dataset)}" if AT in name else "")


def look_up(name: str, capability: str) -> ModelSpec:
    """The spec of a model trained in the page, with the data set that it was trained on.

    Raises:
        InvalidInput: if there is no such model, or it cannot be trained on that data set.
    """
    spec = validation.model(plain(name), capability)
    trained_on = name.partition(AT)[2] if AT in name else spec.dataset
    return replace(spec, dataset=validation.dataset(trained_on, datasets(spec)))


def obtain(name: str, owner: str) -> Any:
    """A model that a session has trained, the newest of that name.

    Raises:
        InvalidInput: if it is gone, or was trained on another data set than the name says.
    """
    found = jobs.trained(owner)
    if (model := found.get(name.removeprefix(MARK))) is not None:
        return model
    twins = [MARK + other for other in found if plain(MARK + other) == plain(name)]
    if twins:
        raise InvalidInput("common.other_data", model=registry.spec(plain(name)).title, name=twins[-1])
    raise InvalidInput("common.gone")
