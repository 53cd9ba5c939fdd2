"""The Words tab without a browser: drawing, stopping, maps, neighbours, the way between prompts, refusals."""

import base64
import json
import re

import gradio as gr
import pytest
import torch
from app_helpers import asked, opened, refused, updates

from playground import figures, illustrating, registry, wording
from playground.data import emoji
from playground.illustrating import Film
from playground.locale import table
from playground.spec import WordStep
from playground.tabs import common, sample, words_between, words_draw, words_panel, words_request
from playground.validation import InvalidInput

NAME = registry.names("FollowsWords")[0]


def values(**changes):
    return {
        "name": NAME, "prompt": "red cat", "style": "Noto", "guidance": 2.0, "steps": 3, "seed": 1,
        "negative": "",
    } | changes  # fmt: skip


def draw(**changes):
    return updates(words_draw.draw(asked(), *values(**changes).values()))


def walk(**changes):
    given = {
        "name": NAME, "prompt": "red apple", "other": "house", "num": 3, "style": "any", "guidance": 2.0,
        "steps": 2, "seed": 0,
    } | changes  # fmt: skip
    return updates(words_between.walk(asked(), *given.values()))


def test_the_longest_prompt_leaves_room_for_its_style():
    found = words_request.check(**values(prompt="a " * words_request.MAX_WORDS, guidance=None, steps=None))
    model = registry.build(NAME)
    assert model.words(found.caption)[-1] == "noto"


def test_every_step_and_every_word_is_shown(untrained):
    shown = draw()
    last = shown[-1]
    assert shown[0]["busy"] and not last["busy"] and "pg-done" in last["status"]
    picture, maps = last["lanes"]
    assert last["marks"] == ["1 / 3", "2 / 3", "3 / 3"] and len(picture["rows"]) == 2
    assert opened(picture["rows"][0]["strip"]).size == (3 * 64, 64)
    assert len(maps["rows"]) == 1 + 3 and "noto" in maps["rows"][3]["title"]
    shares = [int(re.search(r"(\d+)%", row["title"])[1]) for row in maps["rows"]]
    assert abs(sum(shares) - 100) <= 2, "all looking is at some word"
    assert "red · cat · noto" in last["note"] and last["note"].count("<figure") == 3
    assert 'download="words.png"' in last["downloads"]


def test_the_seed_and_the_words_decide_the_picture(untrained):
    strips = [draw(**c)[-1]["lanes"][0]["rows"][0]["strip"] for c in ({}, {}, {"seed": 2}, {"prompt": "dog"})]
    assert strips[0] == strips[1] and len(set(strips)) == 3


def test_without_a_classifier_there_is_still_a_picture(untrained, monkeypatch):
    monkeypatch.setattr(registry, "shipped", lambda name: name == NAME)
    last = draw()[-1]
    assert "pg-done" in last["status"] and "<figure" not in last["note"]


def test_stop_ends_it_before_the_next_step(untrained):
    stream = words_draw.draw(asked(), *values(steps=100).values())
    next(stream)
    next(stream)
    words_draw.stop(asked())
    rest = updates(stream)
    assert "pg-stopped" in rest[-1]["status"] and len(rest[-1]["marks"]) < 100


def test_the_way_between_two_prompts(untrained):
    last = walk()[-1]
    assert last["marks"] == ["0%", "50%", "100%"] and "pg-done" in last["status"]
    (lane,) = last["lanes"]
    assert opened(lane["rows"][0]["strip"]).size == (3 * 64, 64) and "red apple → house" in lane["title"]


HOSTILE = [
    "",
    "  ",
    None,
    7,
    ["cat"],
    "x" * 121,
    "cat\x00",
    "\x1b[2J",
    "红苹果",
    "!!!",
    "⚽️🧿"[1:2] + "?",
    "a " * 16,
]


@pytest.mark.parametrize("prompt", HOSTILE)
def test_prompts_that_cannot_be_read_are_refused_in_a_sentence(prompt, untrained):
    refused(lambda: draw(prompt=prompt))
    refused(lambda: walk(other=prompt))


@pytest.mark.parametrize(
    "change",
    [{"style": "noto"}, {"style": None}, {"guidance": 11}, {"guidance": "2"}, {"steps": 0}, {"steps": 1e9},
     {"seed": -1}, {"negative": "x" * 121}, {"negative": 3}, {"name": "ddpm"}, {"name": None}],
)  # fmt: skip
def test_other_values_are_refused_too(change, untrained):
    refused(lambda: draw(**change))


def test_the_refusal_says_which_box(untrained):
    with pytest.raises(Exception, match="Second prompt"):
        walk(other="")
    with pytest.raises(Exception, match="第二个提示词"):
        list(words_between.walk(asked("zh-CN"), NAME, "a", " ", 3, "any", 2.0, 2, 0))


@pytest.mark.parametrize(
    ("typed", "read"),
    [("🐱 with 😎", "cat face with smiling face with sunglasses"), ("a cat 🇫🇷!", "a cat france flag !"),
     ("❤️", "heavy black heart"), ("7 apples", "7 apples"), ("café 👍🏽", "café thumbs up sign")],
)  # fmt: skip
def test_emoji_that_are_typed_become_their_names(typed, read):
    assert emoji.spell_out(typed) == read
    assert words_request.words(typed, "words.prompt") == read


def test_a_long_way_keeps_few_moments_with_the_last_and_a_short_one_all():
    def step(number, of):
        x = torch.zeros(1, 3, 4, 4)
        return WordStep(number, of, x, x, number * torch.arange(8.0).view(1, 2, 2, 2), number)

    for of in (1, 20, 100):
        film = Film()
        for number in range(1, of + 1):
            film.add(step(number, of))
        kept = [moment.step for moment in film.moments]
        assert kept == sorted(set(kept)) and kept[-1] == of and len(kept) <= illustrating.MAX_FRAMES + 1
        assert len(kept) == of or of > illustrating.MAX_FRAMES
    for grid in film.maps(1):
        assert torch.allclose(grid, torch.tensor([[0, 1 / 3], [2 / 3, 1]])), "scaled step by step"


def test_examples_are_what_their_heading_says():
    entries = emoji.entries()
    split = {entry["name"]: "held" if index % 10 == 0 else "seen" for index, entry in enumerate(entries)}
    known = {e["short_name"].replace("_", " "): split[e["name"]] for e in entries} | split
    for key, prompts in words_request.EXAMPLES.items():
        for prompt in prompts:
            assert known.get(prompt, "new") == key, prompt


def test_the_panel_computes_until_what_it_resembles_is_there(untrained):
    shown = draw()
    assert [("pg-done" in one["status"], "<figure" in one.get("note", "")) for one in shown[-2:]] == [
        (False, False), (True, True),
    ]  # fmt: skip
    assert "pg-running" in shown[-2]["status"] and len(shown[-2]["marks"]) == 3, "its way is there already"
    assert all("pg-done" not in one["status"] for one in shown[:-1])


def test_what_it_resembles_is_shown_with_its_measure(untrained):
    note = draw(prompt="green heart")[-1]["note"]
    first, *rest = re.findall("<figure.*?</figure>", note)
    assert len(rest) == 3 and "green heart, Noto" in first and table("en")["words.named"] in first
    assert not any(table("en")["words.named"] in one for one in rest)
    for one in (first, *rest):
        assert all(re.search(rf"{word} <b>\d+</b>", one) for word in ("distance", "距离")) and "%<" not in one
    for said in ("pixel distance", "32x32", f"about {wording.apart():.0f} apart", "像素距离"):
        assert said in note
    answer = words_draw.words(NAME, "green heart", "Noto", steps=1)
    assert [one["named"] for one in answer["nearest"]] == [True, False, False, False]
    assert all(0 < one["distance"] < 255 for one in answer["nearest"])


def test_the_endpoints_answer(untrained):
    answer = words_draw.words(NAME, "red cat", "Twemoji", steps=2)
    assert answer["words"] == ["red", "cat", "twemoji"] and answer["steps"] == [1, 2]
    assert torch.tensor(answer["attention"]).shape == (3, 8, 8) and len(answer["nearest"]) == 3
    assert opened(answer["png"]).size == (64, 64) and json.dumps(answer)
    between = words_between.words_between(NAME, "red cat", "house", n=2, steps=1)
    with pytest.raises(InvalidInput):
        words_between.words_between(NAME, "red cat", None)
    assert opened(between["png"]).size == (128, 64) and between["mix"] == [0, 1]


def downloaded(last):
    return base64.b64decode(re.search(r'href="data:image/png;base64,([^"]+)"', last["downloads"])[1])


def test_its_png_is_taken_back_and_sample_draws_it_again(untrained):
    last = draw(prompt="red 🐱", style="Twemoji", negative="")[-1]
    content = downloaded(last)
    said, *boxes = words_draw.restore(content, asked())
    assert "seed 1" in said and boxes == list(values(prompt="red cat face", style="Twemoji").values())
    found = sample.read_upload(content)
    assert found["controls"]["prompt"] == "red cat face, Twemoji" and found["controls"]["guidance"] == 2.0
    again = sample.sample(NAME, found["seed"], "any", found["n"], found["controls"], asked())
    shown = opened(last["lanes"][0]["rows"][0]["strip"])
    assert opened(again["png"]).tobytes() == shown.crop((128, 0, 192, 64)).tobytes()
    any_style = words_draw.restore(downloaded(draw(style="any")[-1]), asked())
    assert any_style[1:] == list(values(style="any").values())


def test_the_way_between_is_taken_back_where_it_was_made(untrained):
    content = downloaded(walk()[-1])
    said, *boxes = words_between.restore(content, asked())
    assert "seed 0" in said and boxes == [NAME, "red apple", "house", 3, "any", 2.0, 2, 0]
    refused(lambda: words_draw.restore(content, asked()))
    for one in (content, downloaded(draw(negative="blue")[-1])):
        with pytest.raises(InvalidInput, match="Words tab"):
            sample.read_upload(one)
    refused(lambda: words_between.restore(downloaded(draw()[-1]), asked()))


def test_pngs_of_other_tabs_are_told_where_to_go(untrained):
    image = figures.grid(torch.zeros(1, 1, 4, 4))
    with pytest.raises(InvalidInput, match="Translate tab"):
        sample.read_upload(figures.png_with_request(image, {"route": "noto-twemoji", "pictures": []}))
    of_sample = figures.png_with_request(image, {"model": NAME, "seed": 0, "n": 1, "controls": {}})
    with pytest.raises(gr.Error, match="not made in the Words tab"):
        words_draw.restore(of_sample, asked())
    request = {"model": NAME, "prompt": "cat", "style": "", "seed": 0, "controls": {}}
    for change in ({"prompt": 3}, {"prompt": ""}, {"model": "ddpm"}, {"style": [1]}, {"seed": "0"}, {"n": 0},
                   {"controls": {"guidance": 99}}, {"negative": 3}, {"other": 5}):  # fmt: skip
        content = figures.png_with_request(image, request | change)
        refused(lambda content=content: words_draw.restore(content, asked()))
        with pytest.raises(InvalidInput):
            sample.read_upload(content)


def test_what_is_shown_is_said_in_both_languages():
    chips = words_panel.chips()
    for code in ("en", "zh"):
        assert table(code)["words.chips_new"] in chips
    assert common.RUN == ["pg-run"]
