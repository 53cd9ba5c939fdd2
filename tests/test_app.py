"""Shell, Compare and Sample without a browser: words, endpoints, fairness, refusals, stopping, restoring."""

import base64
import json
import math
import re
import string
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
import torch

import app
from playground import figures, judge, locale, registry, validation, weights
from playground.spec import Samples, SampleStep
from playground.tabs import common, compare, film, sample
from playground.tabs.runs import Refused, Runs

NAMES = registry.names("Samples")
QUICK = [name for name in NAMES if registry.spec(name).family in ("vae", "gan")][:2]
NAMED = {"models", "sample", "compare", "train"}


def asked(language="en", session="test", cookie=None):
    """What gradio hands to a handler."""
    cookies = {} if cookie is None else {"playground-language": cookie}
    return SimpleNamespace(session_hash=session, headers={"accept-language": language}, cookies=cookies)


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
    for key in locale.table("en"):
        stem = key.rpartition(".")[0]
        assert key in code or f'f"{stem}.' in code or f"f'{stem}." in code, f"{key} is said nowhere"


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
    assert len(page.blocks) < 150
    headers = [b.value for b in page.blocks.values() if isinstance(b, gr.HTML)]
    assert any("data-language-button" in str(value) for value in headers)


# Refusals

HOSTILE = [
    None, math.nan, math.inf, -math.inf, True, False, [], [1], {}, {"a": 1}, "", " ", "abc", "1e3", "0x10", -1, 1.5, 2**64,
    10**400, 1e308, "../../etc/passwd", "a" * 10_000, "\x00", "<script>", b"bytes", object(), "nan", ["vae"] * 100,
]  # fmt: skip


def is_sentence(error) -> bool:
    text = error.message
    return (
        10 < len(text) < 400
        and "Traceback" not in text
        and "\n" not in text
        and "wrong on the server" not in text
    )


def refused(call):
    """The sentence a call ends with; it must end with one."""
    with pytest.raises(gr.Error) as caught:
        call()
    assert is_sentence(caught.value), caught.value.message


def answered_or_refused(call):
    """Some hostile values are fine for some parameters (1.0 for 1, null for "any"); nothing may fail otherwise."""
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


def test_unexpected_errors_say_nothing_of_the_server():
    @common.guarded
    def breaks(request=None):
        raise KeyError("/secret/path")

    with pytest.raises(gr.Error) as caught:
        breaks(asked())
    assert "secret" not in caught.value.message and caught.value.message == locale.text("common.unexpected")


# Compare


def pictures(html):
    return re.findall(r'src="(data:image/png[^"]+)"', html)


def last_race(names, seed=3, num=2, label="any"):
    moments = [
        cards for cards, _ in compare.run_race(names, seed, label, num, asked()) if isinstance(cards, str)
    ]
    return moments


def test_race_ends_done_with_speeds_and_same_seed_same_pictures(untrained):
    updates = list(compare.run_race(QUICK, 3, "any", 2, asked()))
    cards = [cards for cards, _ in updates if isinstance(cards, str)]
    summaries = [below for _, below in updates if isinstance(below, str)]
    assert (
        "pg-chip pg-running" in cards[0] and "pg-chip pg-done" in cards[-1] and len(pictures(cards[-1])) == 2
    )
    assert summaries[-1].count("<tr>") == 3 and "4.0×" in summaries[-1] and "10,000" in summaries[-1]
    assert pictures(cards[-1]) == pictures(last_race(QUICK)[-1])
    assert pictures(cards[-1]) != pictures(last_race(QUICK, seed=4)[-1])


def test_race_goes_on_without_the_models_that_cannot(untrained_folder, tmp_path, monkeypatch):
    for name in QUICK:
        (tmp_path / name).mkdir()
        for path in (untrained_folder / name).iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    damaged = tmp_path / QUICK[1] / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\7")
    monkeypatch.setenv("PLAYGROUND_PRETRAINED", str(tmp_path))
    registry.unload()
    missing = next(name for name in NAMES if name not in QUICK)
    last = last_race([*QUICK, missing])[-1]
    assert "pg-chip pg-done" in last and len(pictures(last)) == 1
    assert "damaged" in last and f"pretrain {missing}" in last
    registry.unload()


def test_models_without_a_class_say_so(untrained):
    plain = next(name for name in NAMES if not registry.spec(name).conditional)
    lanes = compare.lanes_of([plain, next(n for n in NAMES if registry.spec(n).conditional)], 3)
    assert len(lanes[0].notes) == 1 and not lanes[1].notes


def test_nothing_shipped_breaks_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_PRETRAINED", str(tmp_path))
    registry.unload()
    assert len(app.build().blocks) > 20
    last = last_race(NAMES[:2])[-1]
    assert last.count("python -m playground pretrain") >= 2
    assert [m["shipped"] for m in compare.models()] == [False] * len(NAMES)
    refused(lambda: common.guarded(sample.sample)(NAMES[0], request=asked()))


def test_compare_endpoint_agrees_with_the_page(untrained):
    found = compare.compare(QUICK, 3, "any", 2, asked())
    shown = pictures(last_race(QUICK)[-1])
    assert [m["png"] for m in found["models"]] == shown
    assert all(m["done"] and m["nfe"] >= 1 and m["milliseconds_per_image"] > 0 for m in found["models"])
    json.dumps(found)


def test_models_endpoint_lists_what_a_program_needs(untrained):
    listed = compare.models()
    assert [m["name"] for m in listed] == NAMES
    for entry in listed:
        defaults = {c["key"]: c["default"] for c in entry["controls"]}
        assert validation.controls(registry.spec(entry["name"]), defaults) == defaults
    json.dumps(listed)


# Stopping and fairness


class Endless(Samples):
    """Counts its steps and never hurries."""

    def __init__(self):
        self.steps, self.begun = 0, threading.Event()

    def sample(self, num, *, labels=None, generator, **controls):
        for step in range(1, 100_001):
            self.steps = step
            self.begun.set()
            time.sleep(0.005)
            yield SampleStep(step, 100_000, torch.zeros(num, 1, 4, 4), step)


@pytest.mark.parametrize("tab", ["compare", "sample"])
def test_stop_acts_within_one_step(tab, monkeypatch, untrained):
    model, updates = Endless(), []
    monkeypatch.setattr(common, "obtain", lambda name, owner: model)
    runs = {
        "compare": lambda: compare.run_race(QUICK, 0, "any", 1, asked()),
        "sample": lambda: sample.run_sample(QUICK[0], 0, "any", 1, {}, "test"),
    }
    thread = threading.Thread(target=lambda: updates.extend(runs[tab]()))
    thread.start()
    assert model.begun.wait(10)
    time.sleep(0.3)
    {"compare": compare.stop_race, "sample": sample.stop_sample}[tab](asked())
    before = model.steps
    thread.join(5)
    assert not thread.is_alive() and model.steps <= before + 1
    final = str(updates[-1] if tab == "sample" else [u for u, _ in updates if isinstance(u, str)][-1])
    assert "pg-stopped" in final and "pg-chip pg-done" not in final


def test_another_session_cannot_stop_mine():
    runs = Runs(per_session=2, in_all=4)
    with runs.open("me", "sample") as run:
        assert runs.stop("you") == 0 and runs.stop("me", "compare") == 0 and not run.stopped
        assert runs.stop("me", "sample") == 1 and run.stopped


def test_a_session_holds_a_few_runs_and_the_machine_a_limited_number():
    runs = Runs(per_session=2, in_all=3)
    with runs.open("me", "a"), runs.open("me", "a"):
        with pytest.raises(Refused, match="too_many"), runs.open("me", "a"):
            pass
        with runs.open("you", "a"), pytest.raises(Refused, match="crowded"), runs.open("they", "a"):
            pass
    with runs.open("me", "a"):
        pass


def test_the_newest_run_takes_the_place_of_the_one_before():
    runs = Runs(per_session=1, in_all=1)
    with runs.open("me", "a", newest=True) as old:
        with runs.open("me", "a", newest=True) as new:
            assert old.stopped and old.superseded and not new.stopped
        with pytest.raises(Refused), runs.open("me", "a", newest=True), runs.open("me", "b", newest=True):
            pass


def test_a_superseded_race_draws_no_more(untrained):
    old = compare.run_race(QUICK, 0, "any", 1, asked())
    next(old)
    assert last_race(QUICK)[-1].count("pg-chip pg-done") == 1
    assert list(old) == []


def test_abandoned_runs_make_room(monkeypatch):
    runs = Runs(per_session=1, in_all=1)
    abandoned = runs.open("gone", "a")
    run = abandoned.__enter__()
    run.touched -= 1000
    with runs.open("me", "a"):
        pass


def test_sessions_take_turns_step_by_step():
    runs, order = Runs(per_session=8, in_all=16), []

    def work(session):
        with runs.open(session, "a") as run:
            for _ in range(10):
                with run.turn():
                    time.sleep(0.002)
                    order.append(session)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    both = order[2:-2]  # while both are there
    changes = sum(x != y for x, y in zip(both, both[1:], strict=False))
    assert len(order) == 20 and changes >= len(both) - 3


def test_a_run_that_fails_gives_its_place_and_its_turn_back():
    runs = Runs(per_session=1, in_all=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), runs.open("me", "a") as run, run.turn():
            raise ZeroDivisionError


def test_throttle_lets_a_bounded_number_through():
    throttle, started, passed = common.Throttle(50), time.perf_counter(), 0
    while time.perf_counter() - started < 0.3:
        passed += throttle.due()
    assert 2 <= passed <= 16


# Sample


def drawn(name, **changes):
    request = {"seed": 5, "label": "any", "num": 2, "controls": {}} | changes
    return list(
        sample.run_sample(
            name, request["seed"], request["label"], request["num"], request["controls"], "test"
        )
    )


def test_sample_is_restored_from_its_png(untrained):
    name = next(n for n in NAMES if registry.spec(n).conditional and registry.spec(n).controls)
    spec = registry.spec(name)
    final = drawn(name, label="3", controls=dict(spec.preview))[-1]
    links = re.findall(r'href="(data:[^"]+)" download="([^"]+)"', final)
    assert {filename.rpartition(".")[2] for _, filename in links} == {"png", "gif"}
    content = base64.b64decode(links[0][0].split(",")[1])
    found = sample.read_upload(content)
    assert found["spec"] == spec and found["seed"] == 5 and found["label"] == 3 and found["n"] == 2
    assert found["controls"] == validation.controls(spec, dict(spec.preview))
    embedded = figures.read_request(content)
    assert embedded["weights_sha256"] == registry.card(name)["sha256"] and "torch" in embedded["versions"]


def test_a_request_from_outside_is_checked(untrained):
    image = figures.grid(torch.zeros(1, 1, 4, 4))
    good = {"model": QUICK[0], "seed": 0, "label": None, "n": 1, "controls": {}}
    assert sample.read_upload(figures.png_with_request(image, good))["spec"].name == QUICK[0]
    for change in ({"model": "../x"}, {"model": None}, {"seed": -1}, {"seed": "0"}, {"n": 10**9}, {"controls": {"x": 1}},
                   {"controls": 3}, {"label": 11}, {"label": [1]}):  # fmt: skip
        with pytest.raises(validation.InvalidInput):
            sample.read_upload(figures.png_with_request(image, good | change))


def test_sample_endpoint_embeds_its_request(untrained):
    found = sample.sample(QUICK[0], 5, "any", 2, None, asked())
    assert figures.read_request(base64.b64decode(found["png"].split(",")[1])) == found["request"]
    assert found["png"] == sample.sample(QUICK[0], 5, "any", 2, None, asked())["png"]
    assert found["done"] and found["nfe"] >= 1


@pytest.mark.parametrize("num_steps", [1, 2, 7, 24, 25, 50, 784, 1000])
@pytest.mark.parametrize("num", [16, 64])
def test_film_is_short_and_ends_with_the_end(num_steps, num):
    kept = film.Film(num)
    for step in range(1, num_steps + 1):
        kept.add(SampleStep(step, num_steps, torch.zeros(1, 1, 2, 2), step))
    steps = [step for step, _ in kept.frames]
    assert (
        len(steps) <= film.MAX_FRAMES
        and steps[0] == 1
        and steps[-1] == num_steps
        and steps == sorted(set(steps))
    )
    assert len(steps) >= min(num_steps, kept.limit) - 1


def test_texts_of_every_model_are_in_both_languages():
    for name in NAMES:
        text = sample.about_text(registry.spec(name))
        assert 'lang="en"' in text and 'lang="zh"' in text and "$$" in text and "arxiv.org/abs/" in text


def test_damaged_weights_are_one_sentence(untrained, monkeypatch):
    def fails(name):
        raise weights.WeightsError("The weights of x are damaged.")

    monkeypatch.setattr(registry, "load", fails)
    refused(lambda: list(common.guarded(sample.run_sample)(QUICK[0], 0, "any", 1, {}, "test")))
