"""What the Words tab is asked for, checked; and the examples that it offers."""

from typing import Any

from playground import registry, validation
from playground.data import emoji
from playground.data import words as vocabulary
from playground.data.emoji import STYLES
from playground.illustrating import Asked
from playground.spec import ModelSpec
from playground.tabs import common
from playground.validation import InvalidInput, Term

ANY = "any"
MAX_CHARACTERS = 120
MAX_WORDS = 15  # the text encoder reads 16, and the last may be the style
MAX_BETWEEN = 9
FIRST = ("green heart", "clock face three oclock")
# Of emoji that the model has seen, of held-out ones, and of things that no emoji shows.
EXAMPLES = {
    "seen": ("green heart", "clock face three oclock", "smiling face with sunglasses", "france flag"),
    "held": ("clock face nine oclock", "tired face", "italy flag", "octopus"),
    "new": ("blue cat with sunglasses", "green man", "pink flag", "red moon"),
}


def start_name() -> str:
    """The model that is shown first: one with weights, if there is any."""
    return max(registry.names("FollowsWords"), key=registry.shipped)


def knob(spec: ModelSpec, key: str) -> dict[str, Any]:
    """A slider for one of a model's controls, as the model has it."""
    (control,) = [control for control in spec.controls if control.key == key]
    return {
        "minimum": control.minimum,
        "maximum": control.maximum,
        "value": control.default,
        "step": control.step,
    }


def check(
    name: Any, prompt: Any, style: Any, guidance: Any, steps: Any, seed: Any, negative: Any,
    *, other: Any = None, num: Any = 1,
) -> Asked:  # fmt: skip
    """Check a request; raises InvalidInput. No `guidance` and no `steps` mean the model's own."""
    spec = common.look_up(name, "FollowsWords")
    style = validation.choice(style, Term("words.style"), (ANY, *STYLES))
    sent = {"guidance": guidance, "num_steps": steps}
    return Asked(
        spec=spec,
        prompt=words(prompt, "words.prompt"),
        style="" if style == ANY else style,
        negative=words(negative, "words.negative", needed=False),
        seed=validation.seed(seed),
        controls=validation.controls(spec, {key: value for key, value in sent.items() if value is not None}),
        other="" if other is None else words(other, "words.other"),
        num=validation.integer(num, Term("words.number"), 1 if other is None else 2, MAX_BETWEEN),
    )


def words(value: Any, key: str, needed: bool = True) -> str:
    """A text of words that the model can read; emoji in it become their names."""
    name = Term(key)
    if needed and (value is None or (isinstance(value, str) and not value.strip())):
        raise InvalidInput("words.empty", name=name)
    text = emoji.spell_out(validation.text(value or "" if not needed else value, name, MAX_CHARACTERS))
    found = vocabulary.split(text)
    if text and not found:
        raise InvalidInput("words.unread", name=name, value=validation.shown(value))
    if len(found) > MAX_WORDS:
        raise InvalidInput("words.too_many", name=name, maximum=MAX_WORDS, value=len(found))
    return text
