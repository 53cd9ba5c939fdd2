"""What comes from outside: hostile values are refused in one sentence, good ones come out clean."""

import math
import struct
import zlib

import pytest

from playground import data, locale, registry, validation
from playground.spec import Control, ModelSpec, Words
from playground.tabs import common
from playground.validation import InvalidInput

HOSTILE = [
    None, True, False, math.nan, math.inf, -math.inf, -1, 1e308, 2**64, -(2**64), 10**5000, 0.5, "", "12",
    "nan", "../../etc/passwd", "..\\..\\x", "mnist\0", "a\nb\x1b[31m", "x" * 100_000, "{value}", "\ud800",
    "<script>alert(1)", [], [1, 2], ["mnist"], {}, {"seed": 1}, (), b"bytes", object(), lambda: None, 1j,
]  # fmt: skip
IDS = [f"{type(v).__name__}-{n}" for n, v in enumerate(HOSTILE)]


def sample_spec(**changes):
    spec = registry.spec(registry.names("Samples")[0])
    given = {f: getattr(spec, f) for f in spec.__dataclass_fields__} | changes
    return ModelSpec(**given)


CONTROLS = (
    Control("steps", Words("Steps", "步数"), 50, 1, 1000, 1),
    Control("guidance", Words("Guidance", "引导"), 1.5, 0.0, 8.0, 0.1),
    Control("scheduler", Words("Scheduler", "调度器"), "DDIM", choices=("DDIM", "DDPM")),
    Control("clip", Words("Clip", "截断"), True),
)
FUNCTIONS = {
    "seed": validation.seed,
    "count": lambda v: validation.count(v, 1, 64),
    "number": lambda v: validation.number(v, "lr", 1e-6, 0.25),
    "integer": lambda v: validation.integer(v, "num_steps", 1, 100),
    "boolean": lambda v: validation.boolean(v, Words("Clip", "截断")),
    "choice": lambda v: validation.choice(v, "dataset", ["mnist", "other"]),
    "model": lambda v: validation.model(v, "Samples"),
    "models": lambda v: common.look_up_all(v, "Samples", 2, 6),
    "label": lambda v: validation.label(v, sample_spec(conditional=True)),
    "controls": lambda v: validation.controls(sample_spec(controls=CONTROLS), v),
    "dataset": validation.dataset,
    "text": lambda v: validation.text(v, "text", 200, 1),
    "png": validation.png,
    **{c.key: lambda v, c=c: validation.control(v, c) for c in CONTROLS},
}


def assert_one_sentence(error):
    for language in locale.LANGUAGES:
        said = error.sentence(language)
        assert said.isprintable() and 5 < len(said) < 400, said
        assert said[0].isprintable() and said[-1] in ".。", said
        said.encode()
    assert str(error) == error.sentence("en")
    assert "got" in str(error) or "remove" in str(error) or "PNG" in str(error)


@pytest.mark.parametrize("value", HOSTILE, ids=IDS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_hostile_values_are_refused_in_one_sentence_or_come_out_clean(function, value):
    try:
        clean = FUNCTIONS[function](value)
    except InvalidInput as error:
        assert_one_sentence(error)
        return
    if function in ("seed", "count", "integer", "steps"):
        assert type(clean) is int and clean == value and not isinstance(value, bool)
    elif function in ("number", "guidance"):
        assert (
            type(clean) is float and math.isfinite(clean) and clean == value and not isinstance(value, bool)
        )
    elif function in ("boolean", "clip"):
        assert clean is value and isinstance(value, bool)
    elif function == "text":
        assert clean == value and clean.replace("\n", "").isprintable()
    elif function == "label":
        assert clean is None and value in (None, "")
    elif function == "controls":
        assert clean == {c.key: c.default for c in CONTROLS} and not value
    else:
        raise AssertionError(f"{function} let {value!r} through as {clean!r}")


@pytest.mark.parametrize(("function", "value", "clean"), [
    ("seed", 0, 0), ("seed", 2**32 - 1, 2**32 - 1), ("seed", 7.0, 7), ("count", 64, 64),
    ("number", 1e-6, 1e-6), ("number", 0.25, 0.25), ("integer", 100, 100), 
    ("label", "7", 7), ("label", 3, 3), ("label", "any", None),
    ("dataset", "mnist", "mnist"), ("text", "two\nlines 数字", "two\nlines 数字"), ("guidance", 0.123, 0.123),
    ("scheduler", "DDPM", "DDPM"), ("clip", False, False),
])  # fmt: skip
def test_good_values_come_out_clean(function, value, clean):
    out = FUNCTIONS[function](value)
    assert out == clean and type(out) is type(clean)


@pytest.mark.parametrize(("function", "value"), [
    ("seed", 2**32), ("seed", -1), ("count", 65), ("count", 0), ("number", 0.2500001), ("number", 9e-7),
    ("integer", 101), ("integer", 1.5), ("label", 10), ("label", "10"), ("label", "-1"), ("label", "٣"),
    ("dataset", "MNIST"), ("text", "x" * 201), ("text", "bell\x07"), ("steps", 1001), ("guidance", 8.01),
])  # fmt: skip
def test_the_first_value_beyond_the_range_is_refused(function, value):
    with pytest.raises(InvalidInput) as caught:
        FUNCTIONS[function](value)
    assert_one_sentence(caught.value)


def test_the_sentence_names_value_range_and_remedy_in_both_languages():
    with pytest.raises(InvalidInput) as caught:
        validation.number(math.nan, "lr", 1e-6, 1)
    assert str(caught.value) == "Learning rate must be a number from 1e-06 to 1; got NaN."
    assert caught.value.sentence("zh") == "学习率必须是 1e-06 到 1 之间的数；收到的是NaN。"
    with pytest.raises(InvalidInput, match=r"Steps must be a whole number from 1 to 1000; got '12'\."):
        validation.control("12", CONTROLS[0])


def test_a_misspelt_name_finds_its_nearest():
    names = [f"model{n}" for n in range(30)] + ["pixelcnn"]
    with pytest.raises(InvalidInput) as caught:
        validation.choice("pixlcnn", "model", names)
    assert (
        str(caught.value).startswith("Model must be one of: pixelcnn,") and str(caught.value).count(",") <= 9
    )


def test_models_are_two_to_six_and_different():
    names = registry.names("Samples")
    found = common.look_up_all(names[:2], "Samples", 2, 6)
    assert found == [(name, registry.spec(name)) for name in names[:2]]
    for wrong in (
        [],
        names[:1],
        [names[0], names[0]],
        [*names[:1], "nope"],
        names[:2] * 4,
        "ab",
        [names[0], None],
    ):
        with pytest.raises(InvalidInput) as caught:
            common.look_up_all(wrong, "Samples", 2, 6)
        assert_one_sentence(caught.value)


def test_a_model_without_the_capability_is_refused():
    without = [name for name in registry.names() if name not in registry.names("Samples")]
    for name in without:
        with pytest.raises(InvalidInput, match="must be one of"):
            validation.model(name, "Samples")


def test_a_label_for_a_model_without_labels_is_refused_and_any_is_not():
    spec = sample_spec(conditional=False)
    assert validation.label("any", spec) is None
    with pytest.raises(InvalidInput, match="takes no label"):
        validation.label(3, spec)
    assert validation.label(3) == 3


def test_controls_fill_in_defaults_and_refuse_unknown_names():
    spec = sample_spec(controls=CONTROLS)
    clean = validation.controls(spec, {"steps": 10, "clip": False})
    assert clean == {"steps": 10, "guidance": 1.5, "scheduler": "DDIM", "clip": False}
    for wrong in (
        {"step": 10},
        {"__class__": 1},
        {5: 5},
        {None: 1},
        {"../x": 1},
        {"steps": True},
        {"clip": 1},
    ):
        with pytest.raises(InvalidInput) as caught:
            validation.controls(spec, wrong)
        assert_one_sentence(caught.value)


def test_the_command_lines_assignments_become_typed_controls():
    spec = sample_spec(controls=CONTROLS)
    clean = validation.assignments(["steps=10", "guidance = 2", "scheduler=DDPM", "clip=off"], spec)
    assert clean == {"steps": 10, "guidance": 2.0, "scheduler": "DDPM", "clip": False}
    for wrong in ("steps", "=5", "steps=ten", "steps=1.5", "guidance=nan", "guidance=1e999", "clip=maybe",
                  "scheduler=../x", "nope=1", "steps=" + "9" * 5000):  # fmt: skip
        with pytest.raises(InvalidInput) as caught:
            validation.assignments([wrong], spec)
        assert_one_sentence(caught.value)


def header(width, height, magic=b"\x89PNG\r\n\x1a\n", kind=b"IHDR"):
    chunk = kind + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return magic + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def test_a_pngs_header_is_read_before_anything_is_decoded():
    assert validation.png(header(28, 30)) == (28, 30)
    for wrong in (
        header(13_000, 13_000), header(0, 5), header(2**31, 1), header(28, 28)[:20],
        header(28, 28, kind=b"IDAT"), header(28, 28, magic=b"GIF89a\0\0"), b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        header(28, 28) + bytes(validation.MAX_PNG_BYTES),
    ):  # fmt: skip
        with pytest.raises(InvalidInput) as caught:
            validation.png(wrong)
        assert_one_sentence(caught.value)


def test_every_data_set_passes():
    for name in data.names():
        assert validation.dataset(name) == name
    with pytest.raises(InvalidInput, match="one of: mnist;"):
        validation.dataset("fashion_mnist", ["mnist"])
