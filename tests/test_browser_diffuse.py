"""The Diffuse tab in headless Chromium: noise mixed in the page, ways back, tasks, small screens."""

import re

import numpy as np
import pytest
import torch

from playground import figures, noising
from playground.locale import table
from playground.tabs import diffuse_request

pytestmark = pytest.mark.browser

DIFFUSE = re.compile("^(Diffuse|扩散)$")


@pytest.fixture
def section(open_page):
    """A function that opens a section of the tab."""

    def open_one(key, language="en-US", **options):
        page = open_page(language, tab=DIFFUSE, **options)
        title = table("zh" if language.startswith("zh") else "en")[f"diffuse.{key}"]
        page.get_by_role("tab", name=title, exact=True).click()
        return page

    return open_one


def watch_requests(page):
    """What is asked of the server from now on, once the page has asked all that it asks by itself."""
    requests, before = [], -1
    page.on("request", lambda request: requests.append(request.url))
    while len(requests) > before:
        before = len(requests)
        page.wait_for_timeout(1500)
    requests.clear()
    return lambda: [url for url in requests if not url.startswith(("data:", "blob:"))]


def fill(page, name, value):
    """Set the number beside a slider that is seen."""
    page.get_by_label(f"number input for {name}", exact=True).locator("visible=true").first.fill(value)


def set_slider(slider, value):
    slider.evaluate(
        "(element, value) => { element.value = value; element.dispatchEvent(new Event('input', "
        "{ bubbles: true })); }",
        value,
    )


def pixels_of(page, name):
    """The grey levels of a canvas."""
    found = page.locator(f"#pg-forward canvas.{name}").evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
    )
    side = int((len(found) / 4) ** 0.5)
    return np.array(found).reshape(side, side, 4)[:, :, :3].astype(int)


def test_the_page_noises_as_the_server_does_and_asks_nothing(section):
    page = section("forward")
    page.locator("#pg-forward canvas.xt").wait_for()
    asked, slider = watch_requests(page), page.locator("#pg-forward .slider")
    pad = page.locator("#pg-forward-pad")
    chosen = pad.locator("[data-digit][aria-pressed=true]").get_attribute("data-digit")
    assert chosen == "2"
    x0 = torch.from_numpy(pixels_of(page, "x0")[:, :, :1]).permute(2, 0, 1)[None].float() / 127.5 - 1
    eps = torch.randn(1, 1, 28, 28, generator=diffuse_request.rng(0))
    for name in noising.SCHEDULES:
        page.locator(f"#pg-forward [data-schedule={name}]").click()
        for t in (0, 400, 999):
            set_slider(slider, t)
            a = float(noising.alphas_cumprod(name)[t])
            expected = figures.to_pixels(noising.jump(x0, a, eps))[0].astype(int)
            assert np.abs(pixels_of(page, "xt") - expected).max() <= 1, (name, t)
            assert page.locator("#pg-forward output").inner_text() == f"t = {t}"
    far, normal = noising.histogram(eps), noising.normal_histogram()
    said = page.locator("#pg-forward .far_noise").inner_text()
    assert float(said.rstrip("%")) == pytest.approx(100 * float(noising.distance(far, normal)), abs=0.2)
    assert asked() == []


def test_both_ways_are_shown_to_meet(section):
    page = section("forward")
    page.locator("#pg-forward canvas.xt").wait_for()
    page.locator(".pg-run:visible").first.click()
    panel = page.locator("#pg-forward")
    panel.locator(".pg-chip.pg-done").wait_for(timeout=120_000)
    asked = watch_requests(page)
    panel.locator(".film[data-way=steps] div").click(position={"x": 5, "y": 5})
    assert panel.locator("output").inner_text() == "t = 0" and panel.locator(".verdict").is_visible()
    means = [panel.locator(f".mean-{way}").inner_text() for way in ("steps", "jump")]
    assert float(means[0]) == pytest.approx(float(means[1]), abs=0.01) and asked() == []
    page.locator("#pg-forward-pad [data-digit='7']").click()  # another picture, which was not compared yet
    panel.locator(".ways").wait_for(state="hidden")


def test_an_emoji_takes_the_place_of_the_digit(section):
    page = section("forward")
    page.locator("#pg-forward-pick [data-emoji]").first.click()
    page.wait_for_function("document.querySelector('#pg-forward canvas.x0').width === 64")
    assert len(np.unique(pixels_of(page, "x0").reshape(-1, 3), axis=0)) > 20  # colours
    page.locator("#pg-forward-pad [data-digit='7']").click()
    page.wait_for_function("document.querySelector('#pg-forward canvas.x0').width === 28")
    assert page.locator("#pg-forward-pick [data-emoji][aria-pressed=true]").count() == 0


def test_a_way_back_is_scrubbed_without_a_round_trip(section):
    page = section("reverse")
    page.locator(".pg-run:visible").first.wait_for()
    fill(page, "Steps", "6")
    page.keyboard.press("Control+Enter")
    panel = page.locator("#pg-reverse")
    panel.locator(".pg-chip.pg-done").wait_for(timeout=120_000)
    asked, slider = watch_requests(page), panel.locator(".slider")
    assert panel.locator("output").inner_text() == "t = 166"
    slider.press("Home")
    assert panel.locator("output").inner_text() == "t = 999"
    where = "element => getComputedStyle(element).backgroundPositionX"
    frames = panel.locator(".frame")
    assert frames.count() == 3 and frames.first.evaluate(where) == "0%"
    panel.locator(".film").first.click()
    assert 0 < float(frames.first.evaluate(where).rstrip("%")) < 100
    assert panel.locator(".says").inner_text() and asked() == []


def test_a_long_way_can_be_stopped(section):
    page = section("reverse")
    page.locator(".pg-run:visible").first.wait_for()
    fill(page, "Steps", "1000")
    page.keyboard.press("Control+Enter")
    page.locator("#pg-reverse .lane").wait_for(timeout=120_000)
    page.keyboard.press("Escape")
    page.locator("#pg-reverse .pg-chip.pg-stopped").wait_for(timeout=60_000)


def test_tasks_show_their_own_boxes_and_a_digit_is_filled_in(section):
    page = section("restore")
    tasks = page.locator("#pg-restore-tasks")
    for task, shown, hidden in (("denoise", "sigma", "strength"), ("sdedit", "strength", "sigma")):
        tasks.locator(f"[data-task={task}]").click()
        words = table("en")
        assert page.get_by_label(words[f"diffuse.box_{shown}"]).locator("visible=true").count() > 0
        assert page.get_by_label(words[f"diffuse.box_{hidden}"]).locator("visible=true").count() == 0
        assert page.locator("#pg-restore-eraser").is_hidden()
    tasks.locator("[data-task=inpaint]").click()
    fill(page, "Steps", "3")
    page.keyboard.press("Control+Enter")
    panel = page.locator("#pg-restore")
    panel.locator(".pg-chip.pg-done").wait_for(timeout=120_000)
    assert panel.locator(".frame").count() == 3 and "%" not in panel.locator(".pg-status").inner_text()


def test_erasing_nothing_gets_a_sentence(section):
    page = section("restore", language="zh-CN")
    page.locator("#pg-restore-eraser [data-mask]").last.click()  # keep all
    page.locator(".pg-run:visible").first.click()
    page.get_by_text(table("zh")["digit_pad.mask_nothing"]).wait_for()


def test_sections_are_renamed_with_the_language(section):
    page = section("forward")
    page.get_by_role("button", name="中文").click()
    page.get_by_role("tab", name=table("zh")["diffuse.reverse"], exact=True).wait_for()
    assert page.get_by_role("tab", name=table("en")["diffuse.reverse"], exact=True).count() == 0


def test_it_fits_a_telephone(section):
    page = section("forward")
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(300)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
