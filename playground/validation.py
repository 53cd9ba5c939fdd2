"""Every value that comes from outside is checked here, once.

Each function takes what a browser, a program or a command line sent and returns the clean value, or raises
`InvalidInput`: one sentence that names the value, what is allowed and the remedy, in any language of the
interface. A number is an ``int`` or a ``float``, never a ``bool`` or a string: what arrives as text (the
command line's ``--set key=value``) goes through `assignments` first.
"""

import difflib
import math
import struct
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from playground import data, locale, registry
from playground.data import emoji
from playground.data import words as vocabulary
from playground.schedules import switches_of
from playground.spec import Control, ModelSpec, Recipe, Words

MAX_SEED = 2**32 - 1
MAX_PROMPT = 200
MAX_PNG_BYTES = 8 * 2**20
MAX_PNG_SIDE = 4096
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_SHOWN_CHARACTERS = 40
_SHOWN_CHOICES = 8


class Term(NamedTuple):
    """A phrase by its key in ``locale/``, said when the language is known."""

    key: str
    params: Mapping[str, Any] = {}


class InvalidInput(locale.Told, ValueError):
    """A value from outside that is refused; strings, numbers, `Words` and `Term` fill the sentence."""

    def sentence(self, language: str = "en") -> str:
        """The sentence in a language of the interface."""
        return locale.text(self.key, language, **{k: say(v, language) for k, v in self.params.items()})


def say(value: Any, language: str) -> Any:
    """`Words` and `Term` in a language; anything else as it is."""
    if isinstance(value, Words):
        return getattr(value, language, value.en)
    if isinstance(value, Term):
        return locale.text(value.key, language, **{k: say(v, language) for k, v in value.params.items()})
    return value


def named(name: str | Words | Term) -> str | Words | Term:
    """What a sentence calls a value: ``errors.name.NAME`` for a plain name, translated when it is said."""
    return Term(f"errors.name.{name}") if isinstance(name, str) else name


def shown(value: Any) -> str | Term:
    """A value as a sentence may quote it: short, on one line, and safe to print whatever it holds."""
    if value is None:
        return Term("errors.value.nothing")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        if value.bit_length() <= 128:
            return str(value)
        return Term("errors.value.huge", {"digits": int(value.bit_length() * math.log10(2)) + 1})
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else str(value)
    if isinstance(value, str):
        text = "".join(c if c.isprintable() else "?" for c in value[: _SHOWN_CHARACTERS + 1])
        return f"'{text}'" if len(value) <= _SHOWN_CHARACTERS else f"'{text[:_SHOWN_CHARACTERS]}…'"
    if isinstance(value, Mapping):
        return Term("errors.value.mapping")
    if isinstance(value, Iterable):
        return Term("errors.value.list")
    return Term("errors.value.other", {"kind": type(value).__name__})


def number(value: Any, name: str | Words | Term, minimum: float, maximum: float) -> float:
    """A finite number in a range, both ends included."""
    okay = isinstance(value, int | float) and not isinstance(value, bool)
    if not okay or not minimum <= value <= maximum:  # NaN fails every comparison
        raise InvalidInput(
            "errors.number",
            name=named(name),
            minimum=f"{minimum:g}",
            maximum=f"{maximum:g}",
            value=shown(value),
        )
    return float(value)


def integer(value: Any, name: str | Words | Term, minimum: int, maximum: int) -> int:
    """A whole number in a range, both ends included; 5.0 is 5, since JSON does not tell them apart."""
    okay = isinstance(value, int | float) and not isinstance(value, bool)
    if not okay or not minimum <= value <= maximum or value != int(value):
        raise InvalidInput(
            "errors.integer", name=named(name), minimum=minimum, maximum=maximum, value=shown(value)
        )
    return int(value)


def seed(value: Any) -> int:
    """A seed, 0 to 2**32 - 1."""
    return integer(value, "seed", 0, MAX_SEED)


def count(value: Any, minimum: int, maximum: int) -> int:
    """How many pictures."""
    return integer(value, "count", minimum, maximum)


def boolean(value: Any, name: str | Words | Term) -> bool:
    """True or false, and nothing that only counts as one of them."""
    if not isinstance(value, bool):
        raise InvalidInput("errors.boolean", name=named(name), value=shown(value))
    return value


def choice(value: Any, name: str | Words | Term, allowed: Iterable[str]) -> str:
    """One of a few names, exactly as written; the closest are shown first when it is none of them."""
    names = list(allowed)
    if isinstance(value, str) and value in names:
        return value
    close = difflib.get_close_matches(value[:64], names, n=3, cutoff=0.5) if isinstance(value, str) else []
    ordered = close + [n for n in names if n not in close]
    listed = ", ".join(ordered[:_SHOWN_CHOICES]) + (", …" if len(ordered) > _SHOWN_CHOICES else "")
    key = "errors.choice" if names else "errors.no_choice"
    raise InvalidInput(key, name=named(name), allowed=listed, value=shown(value))


def model(value: Any, capability: str | None = None, *, elsewhere: bool = False) -> ModelSpec:
    """The spec of a model that has a capability; with `elsewhere` it may be one that others published."""
    known = registry.names(capability) + (registry.published(capability) if elsewhere else [])
    return registry.spec(choice(value, "model", known))


def label(value: Any, spec: ModelSpec | None = None, num_classes: int = 10) -> int | None:
    """The class to draw, None for any: a number, its digits (a drop-down sends text), "any" or nothing.

    With a spec, a label for a model that takes none is refused.
    """
    if value is None or value == "any" or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 4:
        value = int(value)
    okay = isinstance(value, int | float) and not isinstance(value, bool)
    if not okay or not 0 <= value < num_classes or value != int(value):
        raise InvalidInput("errors.label", maximum=num_classes - 1, value=shown(value))
    if spec is not None and not spec.conditional:
        raise InvalidInput("errors.label_unconditional", model=spec.title, value=shown(value))
    return int(value)


def control(value: Any, item: Control) -> float | int | str | bool:
    """One knob of a sampler; its step is the grain of the slider, no limit: values in between are taken."""
    if item.kind == "choice":
        return choice(value, item.label, item.choices)
    if item.kind == "bool":
        return boolean(value, item.label)
    if item.kind == "str":
        return prompt(value, item.label)
    low = -1e6 if item.minimum is None else item.minimum
    high = 1e6 if item.maximum is None else item.maximum
    if item.kind == "int":
        return integer(value, item.label, int(low), int(high))
    return number(value, item.label, low, high)


def controls(spec: ModelSpec, values: Any = None) -> dict[str, Any]:
    """Every control of a model: the values sent, the rest at its default; an unknown name is refused."""
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise InvalidInput("errors.controls", model=spec.title, value=shown(values))
    known = {item.key: item for item in spec.controls}
    for key in values:
        if key not in known:
            choice(key, Term("errors.name.control", {"model": spec.title}), known)
    return {key: control(values.get(key, item.default), item) for key, item in known.items()}


def switches(spec: ModelSpec, recipe: Recipe, values: Any, *, running: bool = False) -> dict[str, Any]:
    """The switches of a training that were sent, by key; while it runs only the live ones may be turned."""
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise InvalidInput("errors.switches", model=spec.title, value=shown(values))
    known = {item.key: item for item in switches_of(spec, recipe)}
    for key in values:
        item = known[choice(key, Term("errors.name.switch", {"model": spec.title}), known)]
        if running and not item.live:
            raise InvalidInput("errors.switch_start", name=item.label)
    return {key: control(value, known[key]) for key, value in values.items()}


def assignments(pairs: Sequence[str], spec: ModelSpec) -> dict[str, Any]:
    """The command line's ``key=value`` texts as checked controls, the rest at their defaults."""
    name = Term("errors.name.control", {"model": spec.title})
    return controls(spec, _assigned(pairs, spec.controls, name))


def turned(pairs: Sequence[str], spec: ModelSpec) -> dict[str, Any]:
    """The command line's ``key=value`` texts as checked switches of a training, those that were named."""
    name = Term("errors.name.switch", {"model": spec.title})
    return switches(spec, spec.recipe, _assigned(pairs, switches_of(spec, spec.recipe), name))


def _assigned(pairs: Sequence[str], known: Sequence[Control], name: Term) -> dict[str, Any]:
    items = {item.key: item for item in known}
    values: dict[str, Any] = {}
    for pair in pairs:
        key, separator, word = pair.partition("=")
        if not separator or not key.strip():
            raise InvalidInput("errors.assignment", value=shown(pair))
        key = choice(key.strip(), name, items)
        values[key] = parse(word.strip(), items[key].kind)
    return values


def parse(word: str, kind: str) -> Any:
    """A text as the kind of a control; one that is not of that kind stays a text, which `control` refuses."""
    try:
        if kind == "int":
            return int(word)
        if kind == "float":
            return float(word)
    except ValueError:
        return word
    if kind == "bool":
        return {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}.get(
            word.lower(), word
        )
    return word


def dataset(value: Any, allowed: Iterable[str] | None = None) -> str:
    """The name of a data set."""
    if allowed is None:
        allowed = data.names()
    return choice(value, "dataset", allowed)


def text(value: Any, name: str | Words | Term, maximum: int, minimum: int = 0) -> str:
    """A text of bounded length without control characters (line breaks and tabs are allowed)."""
    if not isinstance(value, str):
        raise InvalidInput("errors.text", name=named(name), maximum=maximum, value=shown(value))
    if not minimum <= len(value) <= maximum:
        raise InvalidInput(
            "errors.text_length", name=named(name), minimum=minimum, maximum=maximum, value=len(value)
        )
    for character in value:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\r\t":
            raise InvalidInput("errors.text_control", name=named(name), value=f"U+{ord(character):04X}")
    return value


def prompt(value: Any, name: str | Words | Term) -> str:
    """Words for a model that reads them, emoji among them spelled out; or nothing."""
    said = text(emoji.spell_out(text(value, name, MAX_PROMPT)), name, MAX_PROMPT)
    if not vocabulary.split(said) and value.strip():
        raise InvalidInput("words.unread", name=named(name), value=shown(value))
    return said


def png(value: Any, *, max_bytes: int = MAX_PNG_BYTES, max_side: int = MAX_PNG_SIDE) -> tuple[int, int]:
    """The (width, height) of a PNG's bytes, read from the header before anything is decoded.

    A PNG of 118 bytes can ask for gigabytes of pixels, so the sides are bounded as well as the bytes.
    """
    if not isinstance(value, bytes | bytearray):
        raise InvalidInput("errors.png_bytes", value=shown(value))
    if len(value) > max_bytes:
        raise InvalidInput("errors.png_size", maximum=max_bytes // 2**20, value=f"{len(value) / 2**20:.1f}")
    if not value.startswith(_PNG_MAGIC) or len(value) < 33 or bytes(value[12:16]) != b"IHDR":
        raise InvalidInput("errors.png_magic")
    width, height = struct.unpack(">II", value[16:24])
    if not 1 <= width <= max_side or not 1 <= height <= max_side:
        raise InvalidInput("errors.png_side", maximum=max_side, width=width, height=height)
    return width, height
