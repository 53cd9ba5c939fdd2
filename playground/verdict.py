"""What each family buys, and whether GANs are obsolete: sentences filled with what the cards have measured.

One model speaks for a family, the one that its spec calls exemplary. A family without a shipped model, or
whose card lacks a number that its sentence tells, has no sentence.
"""

import math
from dataclasses import dataclass

from playground import registry, scoring
from playground.locale import words
from playground.spec import ModelSpec, Words

_OLD, _NEW = "gan", "diffusion"  # the families that the question is about


@dataclass(frozen=True)
class Finding:
    """What a family buys and what it pays.

    Attributes:
        family: its name.
        spec: the model that was measured.
        said: the sentences.
    """

    family: Words
    spec: ModelSpec
    said: Words


def findings() -> list[Finding]:
    """A finding a family, in the registry's order."""
    found = []
    for family, spec in _speakers().items():
        if (said := _said(f"verdict.{family}", _numbers(spec))) is not None:
            found.append(Finding(words(f"families.family_{family}"), spec, said))
    return found


def answer() -> Words | None:
    """Are GANs obsolete? None while one of the two models that the answer compares is not measured."""
    speakers = _speakers()
    if not {_OLD, _NEW} <= speakers.keys():
        return None
    old, new = speakers[_OLD], speakers[_NEW]
    told = {"old": old.title, "new": new.title}
    told |= {f"old_{key}": value for key, value in _numbers(old).items()}
    told |= {f"new_{key}": value for key, value in _numbers(new).items()}
    if not math.isnan(slower := _milliseconds(new) / _milliseconds(old)):
        told["times"] = f"{float(f'{slower:.2g}'):,.0f}"
    return _said("verdict.answer", told)


def _speakers() -> dict[str, ModelSpec]:
    """The exemplary model of each family, where it is shipped."""
    specs = map(registry.spec, registry.names("Samples"))
    return {spec.family: spec for spec in specs if spec.exemplary and registry.shipped(spec.name)}


def _said(key: str, told: dict[str, str]) -> Words | None:
    try:
        return words(key, **told)
    except KeyError:  # it tells a number that is not there
        return None


def _milliseconds(spec: ModelSpec) -> float:
    """A picture's, where 64 are drawn at once; not a number if that was not measured."""
    return float(
        registry.card(spec.name).get("metrics", {}).get("ms_per_image_64", {}).get("value", math.nan)
    )


def _numbers(spec: ModelSpec) -> dict[str, str]:
    """What sentences are filled with: those that the card has."""
    metrics = registry.card(spec.name).get("metrics", {})
    formats = {
        "fid": ("fid", "times_floor", ".3g"),
        "recall": ("recall", "value", ".1%"),
        "ms": ("ms_per_image_64", "value", ".3g"),
        "nfe": ("nfe", "value", ",d"),
    }
    found = {
        k: format(metrics[m][part], how)
        for k, (m, part, how) in formats.items()
        if part in metrics.get(m, {})
    }
    if measured := scoring.of_card(metrics):
        found["likelihood"] = f"{measured[0].value:.{measured[0].digits}f} {scoring.UNITS[measured[0].group]}"
    return found
