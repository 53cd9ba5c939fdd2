"""The Train tab in headless Chromium: start, pause, step, stop, reload, replay, both languages."""

import json
import re
from xml.etree import ElementTree

import pytest

from playground import registry, replay, weights
from playground.data import Images
from playground.locale import table
from playground.tabs.train_actions import NUM_CLOSEST
from playground.training import Training, train

pytestmark = pytest.mark.browser

TRAIN = re.compile("Train|训练")
QUICK = next(name for name in registry.names("Samples") if registry.spec(name).family == "vae")
PANEL = "#train-live .run"


def fill(page, words, **values):
    """Type into the tab's numbers, by the ends of their keys."""
    for key, value in values.items():
        page.get_by_label(words[f"train.{key}"], exact=True).locator("visible=true").fill(str(value))


def state(page, *states, timeout=120_000):
    """Wait until the live panel is in one of the states."""
    page.wait_for_selector(", ".join(f"{PANEL}.{name}" for name in states), timeout=timeout)


def step_of(page):
    return int(
        re.search(r"([\d,]+) /", page.locator("#train-live dd").first.inner_text())[1].replace(",", "")
    )


def width_fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize(("language", "code"), [("en-US", "en"), ("zh-CN", "zh")])
def test_train_to_the_end_and_scrub(open_page, language, code, tmp_path):
    page, words = open_page(language, tab=TRAIN), table(code)
    fill(page, words, steps=12, batch_size=8)
    before = page.locator(PANEL).bounding_box()["height"]
    page.keyboard.press("Control+Enter")
    state(page, "running", "done")
    state(page, "done")
    text = page.locator("#train-live").inner_text()
    assert "12 / 12" in text and words["train.done"] in text
    other = table("en" if code == "zh" else "zh")
    assert other["train.done"] not in text and other["train.left"] not in text
    assert page.locator(PANEL).bounding_box()["height"] == pytest.approx(before, abs=2)
    film = page.locator("#train-film .film")
    slider, shown = film.locator("input"), film.locator("output")
    assert shown.inner_text() == "12"
    slider.fill("0")
    assert shown.inner_text() == "1"
    with page.expect_download() as download:
        page.get_by_role("button", name=words["train.card"]).click()
    download.value.save_as(tmp_path / "card.json")
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["num_steps"] == 12 and card["recipe"]["batch_size"] == 8
    with page.expect_download() as download:
        page.get_by_role("button", name=words["common.save_svg"]).locator("visible=true").click()
    download.value.save_as(tmp_path / "curves.svg")
    curves = ElementTree.fromstring((tmp_path / "curves.svg").read_text(encoding="utf-8"))
    assert all(part in curves.find("{*}title").text for part in (words["train.done"], "12 / 12"))
    drawn = page.locator("#train-live .curves svg, #train-figures svg").count()
    assert len(curves.findall("{*}svg")) == drawn >= 1


def test_pause_step_reload_resume_stop(open_page):
    page, words = open_page(tab=TRAIN), table("en")
    fill(page, words, steps=5000, batch_size=8)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(f"{PANEL}.running .shot img", timeout=120_000)
    page.get_by_role("button", name=words["train.pause"]).click()
    state(page, "paused")
    page.wait_for_timeout(2_000)  # what the watcher before the click drew must not come back
    state(page, "paused")
    at = step_of(page)
    page.get_by_role("button", name=words["train.one_step"]).click()
    page.wait_for_function(
        "at => document.querySelector('#train-live dd').innerText.startsWith((at + 1).toLocaleString('en'))",
        arg=at,
    )
    page.get_by_role("button", name=words["train.pause"]).click()
    state(page, "running")
    page.reload()
    page.get_by_role("tab", name=TRAIN).click()
    state(page, "running")
    assert step_of(page) > at
    page.keyboard.press("Escape")
    state(page, "stopped", timeout=30_000)
    text = page.locator("#train-live").inner_text()
    assert words["train.stopped"] in text and words["train.done"] not in text
    page.get_by_role("tab", name="Sample").click()
    page.get_by_label("Model", exact=True).locator("visible=true").first.click()
    page.get_by_role("option", name=f"★ {registry.spec(QUICK).title}").wait_for()


def test_a_refusal_is_said_and_nothing_starts(open_page):
    page = open_page("zh-CN", tab=TRAIN)
    fill(page, table("zh"), lr=7)
    page.keyboard.press("Control+Enter")
    page.get_by_text("学习率必须是").wait_for()
    assert page.locator(f"{PANEL}.idle").count() == 1


@pytest.mark.parametrize("dark", [False, True])
def test_a_telephone_holds_it_and_the_shipped_training_is_replayed(
    open_page, untrained_folder, monkeypatch, dark
):
    record(untrained_folder, monkeypatch)
    page = open_page(width=390, height=844, query=f"?__theme={'dark' if dark else 'light'}")
    page.get_by_role("button", name="More tabs").click()  # a telephone has no room for all of them
    page.locator(".overflow-dropdown").get_by_role("button", name=TRAIN).click()
    page.get_by_role("button", name="Replay").click()
    film = page.locator("#train-replay .film")
    film.wait_for()
    assert width_fits(page)
    output = film.locator("output")
    page.wait_for_function("() => document.querySelector('#train-replay output').innerText !== '1'")
    film.locator("button").click()  # pause
    at = output.inner_text()
    page.wait_for_timeout(900)
    assert output.inner_text() == at
    film.locator("input").fill("0")
    assert output.inner_text() == "1"
    assert film.locator("svg path.pg-line").count() >= 1
    fill(page, table("en"), steps=12, batch_size=8)
    parts = [page.locator(f"#train-{name}") for name in ("live", "coach", "film")]
    before = [part.bounding_box()["height"] for part in parts]
    page.keyboard.press("Control+Enter")
    state(page, "done")
    page.locator("#train-film .frame").wait_for()
    after = [part.bounding_box()["height"] for part in parts]
    assert after == pytest.approx(before, abs=1), "nothing below them jumps"


PLAYERS = next(
    name for name in registry.names("Samples") if "players" in {s.key for s in registry.spec(name).switches}
)


def choose(page, label, option):
    """Pick from a drop-down of the tab."""
    page.get_by_label(label, exact=True).locator("visible=true").click()
    page.get_by_role("option", name=option, exact=True).click()


def test_switches_are_shown_turned_and_marked(open_page):
    page, words = open_page(tab=TRAIN), table("en")
    spec = registry.spec(PLAYERS)
    loss = next(switch for switch in spec.switches if switch.key == "loss")
    other = next(choice for choice in loss.choices if choice not in (loss.default, "wasserstein"))
    who = page.get_by_role("radio", name="discriminator")
    choose(page, "Model", registry.spec(QUICK).title)
    who.wait_for(state="hidden")
    choose(page, "Model", spec.title)
    who.wait_for()
    fill(page, words, steps=5000, batch_size=4)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(f"{PANEL}.running .shot img", timeout=120_000)
    who.check()
    page.locator("#train-live .changes li", has_text="→ discriminator").wait_for()
    page.get_by_role("button", name=words["train.techniques"]).click()
    choose(page, loss.label.en, other)
    page.get_by_role("button", name=words["train.apply"]).click()
    page.locator("#train-live .changes li", has_text=f"{loss.label.en} → {other}").wait_for()
    assert page.locator("#train-live .pg-mark-line").count() == 2
    assert page.locator("#train-figures figure").count() >= 4
    pace = page.get_by_role("slider", name=words["jobs.pace"])
    pace.press("ArrowRight")
    page.wait_for_timeout(1_000)  # on its way
    page.get_by_role("button", name=words["train.nearest"]).click()
    page.locator("#train-nearest img").nth(31).wait_for()
    page.locator("#train-live .shot img").click(position={"x": 5, "y": 5})  # the first of the samples
    page.get_by_text(words["train.this_sample"]).wait_for()
    assert page.locator("#train-nearest img").count() == 1 + NUM_CLOSEST
    page.reload()
    page.get_by_role("tab", name=TRAIN).click()
    state(page, "running")
    assert page.get_by_role("radio", name="discriminator").is_checked()  # the form is the training's again
    assert pace.input_value() == "0.1", "a key was heard, and the page that comes back knows of it"
    page.keyboard.press("Escape")
    state(page, "stopped", timeout=60_000)


def record(folder, monkeypatch):
    """A replay beside the untrained weights, and the facts of a run on their card."""
    from playground import data

    monkeypatch.setenv("PLAYGROUND_PRETRAINED", str(folder))
    if (folder / QUICK / "replay.json").exists():
        return
    few = data.load("mnist", "test")
    recipe = registry.spec(QUICK).recipe.__class__(num_steps=14, batch_size=8)
    run = Training(
        registry.spec(QUICK), Images("mnist", few.images[:64], few.labels[:64], few.classes), recipe
    )
    recorder = replay.Recorder()
    for event in train(run, preview="moments"):
        recorder.record(event)
    recorder.write(QUICK)
    card = weights.read_card(QUICK) | {"num_steps": 14, "training_minutes": 0.1, "device": "cpu"}
    weights.write_card(QUICK, card)
