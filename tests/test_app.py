"""The page without a browser: words, endpoints, and how hostile values are refused."""

import json
import math
import re
import string
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from app_helpers import NAMES, QUICK, asked, is_sentence, refused

import app
from playground import judge, locale, registry, validation
from playground.tabs import common, compare, latent_panel, sample, train_panel

NAMED = {
    "models", "sample", "compare", "train", "break_it", "interpolate", "likelihood", "complete",
    "translate", "noise", "denoise", "restore", "flow", "posterior", "pixels", "receptive_field", "jumps",
    "words", "words_between",
}  # fmt: skip


@pytest.fixture(autouse=True)
def few_real_pictures(monkeypatch):
    """The classifier compares with fewer real pictures: what it says is tested elsewhere."""
    monkeypatch.setattr(judge, "NUM_QUICK", 100)


# Words


def test_languages_say_the_same_things():
    english, chinese = locale.table("en"), locale.table("zh")
    assert english.keys() == chinese.keys()
    for key, phrase in english.items():
        fields = [{f for _, f, _, _ in string.Formatter().parse(p) if f} for p in (phrase, chinese[key])]
        assert fields[0] == fields[1], key
        assert re.search(r"[一-鿿]", chinese[key]), f"{key} is not Chinese"


def test_keys_start_with_the_name_of_their_file():
    for path in Path(locale.__file__).parent.glob("*/*.json"):
        assert all(key.startswith(path.stem + ".") for key in json.loads(path.read_text())), path


def test_every_phrase_is_used():
    code = "\n".join(p.read_text() for p in Path(locale.__file__).parent.parent.rglob("*.py"))
    made = set(re.findall(r"""f["']([a-z_]+\.[^"'\s]*\{[^"'\s]*)["']""", code))  # keys with a part filled in
    patterns = [re.compile(re.sub(r"\\\{.*?\\\}", ".+", re.escape(template))) for template in made]
    for key in locale.table("en"):
        assert key in code or any(p.fullmatch(key) for p in patterns), f"{key} is said nowhere"


def test_scripts_and_figures_say_nothing_of_their_own():
    root = Path(locale.__file__).parent.parent
    figures = [root / "svg.py", root / "trilemma.py", root / "tabs" / "train_panel.py"]
    for path in [*(root / "tabs" / "page").glob("*.js"), *figures]:
        assert not re.search(r"[一-鿿]", path.read_text(encoding="utf-8")), path.name
    skeletons = latent_panel.reel_skeleton(""), train_panel.film_skeleton()
    for key, made in zip(("latent.name_it", "train.moment"), skeletons, strict=True):
        assert all(locale.text(key, code) in made for code in locale.LANGUAGES)


def test_html_is_escaped_in_both_languages():
    said = locale.both("common.no_weights", model="<img src=x>", name="a&b")
    assert "<img" not in said and said.count("&lt;img") == 2 and 'lang="en"' in said and 'lang="zh"' in said


@pytest.mark.parametrize(
    "request_, expected",
    [
        (None, "en"), (asked("zh-CN,zh;q=0.9"), "zh"), (asked("fr"), "en"), (asked("en", cookie="zh"), "zh"),
        (asked("zh", cookie="en"), "en"), (asked("zh", cookie="../../x"), "zh"), (SimpleNamespace(), "en"),
    ],
)  # fmt: skip
def test_language_of_a_request(request_, expected):
    assert common.language(request_) == expected


# The page


@pytest.fixture(scope="module")
def page():
    return app.build()


def test_only_named_endpoints_are_exposed(page):
    public = {fn.api_name for fn in page.fns.values() if fn.api_visibility == "public"}
    assert public == NAMED
    assert {fn.api_visibility for fn in page.fns.values() if fn.api_name not in NAMED} <= {"private"}
    info = page.get_api_info()
    assert set(info["named_endpoints"]) == {f"/{name}" for name in NAMED} and not info["unnamed_endpoints"]
    for endpoint in info["named_endpoints"].values():
        assert len(endpoint["description"]) > 40
        assert all(p["python_type"]["type"] != "Any" for p in endpoint["parameters"])


def test_every_component_has_a_name(page):
    for block in page.blocks.values():
        if (
            isinstance(
                block, gr.Number | gr.Slider | gr.Dropdown | gr.Radio | gr.Checkbox | gr.File | gr.Textbox
            )
            and block.visible
        ):
            assert block.label, block


def test_page_holds_both_languages_and_no_flood_of_components(page):
    assert len(page.blocks) < 750  # a model's switches have a component each
    headers = [b.value for b in page.blocks.values() if isinstance(b, gr.HTML)]
    assert any("data-language-button" in str(value) for value in headers)


# Refusals

HOSTILE = [
    None, math.nan, math.inf, -math.inf, True, False, [], [1], {}, {"a": 1}, "", " ", "abc", "1e3", "0x10",
    -1, 1.5, 2**64, 10**400, 1e308, "../../etc/passwd", "a" * 10_000, "\x00", "<script>", b"bytes",
    object(), "nan", ["vae"] * 100,
]  # fmt: skip


def answered_or_refused(call):
    """Some hostile values are fine for some parameters (null is "any"); none may fail in another way."""
    try:
        call()
    except gr.Error as error:
        assert is_sentence(error), error.message


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: repr(v)[:20])
def test_hostile_values_are_refused_by_the_endpoints(value, untrained):
    endpoint = common.guarded(sample.sample)
    refused(lambda: endpoint(value, 0, "any", 1, None, asked()))
    refused(lambda: endpoint(QUICK[0], value, "any", 1, None, asked()))
    refused(lambda: endpoint(QUICK[0], 0, "any", value, None, asked()))
    answered_or_refused(lambda: endpoint(QUICK[0], 0, value, 1, None, asked()))
    answered_or_refused(lambda: endpoint(QUICK[0], 0, "any", 1, value, asked()))
    endpoint = common.guarded(compare.compare)
    refused(lambda: endpoint(value, 0, "any", 1, asked()))
    refused(lambda: endpoint([QUICK[0], value], 0, "any", 1, asked()))
    refused(lambda: endpoint(QUICK, value, "any", 1, asked()))
    refused(lambda: endpoint(QUICK, 0, "any", value, asked()))


def test_compare_starts_with_one_model_of_every_family_whose_weights_are_here(monkeypatch):
    assert all(registry.spec(name).exemplary for name in compare.default_names())
    others = {spec.family: spec.name for spec in map(registry.spec, NAMES) if not spec.exemplary}
    monkeypatch.setattr(registry, "shipped", lambda name: name in others.values())
    assert sorted(compare.default_names()) == sorted(list(others.values())[: compare.MAX_MODELS])
    monkeypatch.setattr(registry, "shipped", lambda name: name == NAMES[-1])
    assert len(compare.default_names()) == 2 and NAMES[-1] in compare.default_names()
    monkeypatch.setattr(registry, "shipped", lambda name: False)
    assert compare.default_names() == NAMES[:2]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: repr(v)[:20])
def test_hostile_values_are_refused_by_private_handlers(value, untrained):
    refused(lambda: list(compare.run_race(value, 0, "any", 1, asked())))
    refused(lambda: list(compare.run_race(QUICK, value, "any", 1, asked())))
    refused(lambda: list(compare.run_race(QUICK, 0, "any", value, asked())))
    compare.preview(value, value, value, value)
    run = common.guarded(sample.run_sample)
    refused(lambda: list(run(value, 0, "any", 1, {}, "test")))
    with pytest.raises(validation.InvalidInput):
        sample.read_upload(value)
    conditional = next(name for name in NAMES if registry.spec(name).controls)
    for control in registry.spec(conditional).controls:
        answered_or_refused(
            lambda c=control: common.guarded(sample.prepare)(conditional, 0, "any", 1, {c.key: value})
        )


@pytest.mark.parametrize(
    "names", [[], NAMES[:1], [NAMES[0]] * 2, [*NAMES, *NAMES][:7], ["mine:nothing", NAMES[0]], NAMES[0]]
)
def test_two_to_six_different_models(names, untrained):
    refused(lambda: list(compare.run_race(names, 0, "any", 1, asked())))


def test_refusals_follow_the_language():
    with pytest.raises(gr.Error, match="种子"):
        list(compare.run_race(QUICK, -1, "any", 1, asked("zh-CN")))
    with pytest.raises(gr.Error, match="Seed"):
        list(compare.run_race(QUICK, -1, "any", 1, asked("zh-CN", cookie="en")))


def test_what_a_refusal_quotes_is_no_html():
    with pytest.raises(gr.Error) as caught:
        list(compare.run_race(["<img src=x>", QUICK[0]], 0, "any", 1, asked()))
    assert "img src=x" in caught.value.message and "<" not in caught.value.message


def test_unexpected_errors_say_nothing_of_the_server():
    @common.guarded
    def breaks(request=None):
        raise KeyError("/secret/path")

    with pytest.raises(gr.Error) as caught:
        breaks(asked())
    assert "secret" not in caught.value.message and caught.value.message == locale.text("common.unexpected")
