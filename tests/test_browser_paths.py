"""The Paths section's plane in headless Chromium: fields and particles drawn and walked in the page."""

import re

import numpy as np
import pytest

from playground.locale import table
from playground.tabs import velocity_field

pytestmark = pytest.mark.browser

DIFFUSE = re.compile("^(Diffuse|扩散)$")
INK = """canvas => {
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data, hue = [];
    for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] > 200) hue.push(i / 4);
    return [canvas.width, hue];
}"""


@pytest.fixture
def plane(open_page):
    """A function that opens the section and waits until its plane is drawn."""

    def open_one(**options):
        page = open_page(tab=DIFFUSE, **options)
        words = [table(code)["velocity.title"] for code in ("en", "zh")]
        page.get_by_role("tab", name=re.compile(f"^({'|'.join(words)})$")).click()
        page.locator("#pg-velocity .field.shown").wait_for(timeout=120_000)
        return page, page.locator("#pg-velocity")

    return open_one


def ink(plane, way):
    """Where the canvas of a mixture is opaque: (width, places)."""
    width, places = plane.locator(f"figure[data-way={way}] canvas").evaluate(INK)
    return width, np.array(places)


def go(plane, place):
    plane.locator(".slider").evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})); }", place
    )


def caption(plane, way):
    return plane.locator(f"figure[data-way={way}] figcaption").inner_text()


def test_particles_go_from_noise_to_the_data_in_the_page_alone(plane):
    page, field = plane()
    ways = field.locator("figure").evaluate_all("all => all.map(one => one.dataset.way)")
    assert len(ways) == 2
    requests = []
    page.wait_for_timeout(1500)
    page.on("request", lambda request: requests.append(request.url))
    spread = {}
    for place in (0, velocity_field._FRAMES - 1):
        go(field, place)
        for way in ways:
            width, places = ink(field, way)
            assert len(places) > 500, "dots are drawn"
            spread[way, place] = np.hypot(places % width - width / 2, places // width - width / 2).std()
    assert field.locator("output").inner_text() == "t = 0.00"
    for way in ways:  # eight heaps lie on a circle: their distance from the middle differs little
        assert spread[way, velocity_field._FRAMES - 1] < spread[way, 0]
    assert not [url for url in requests if not url.startswith(("data:", "blob:"))]


def test_fewer_steps_miss_by_more_and_the_caption_says_by_how_much(plane):
    page, field = plane()
    told = {}
    for steps in ("1", "4", velocity_field.EXACT):
        button = field.locator(f"[data-steps='{steps}']")
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        assert field.locator("[data-steps][aria-pressed=true]").count() == 1
        told[steps] = float(re.search(r"\d+\.\d\d", caption(field, "straight")).group())
    assert told["1"] > told["4"] > told[velocity_field.EXACT]


def test_another_data_set_brings_another_field_and_play_runs_to_the_end(plane):
    page, field = plane()
    before, drawn = caption(field, "straight"), len(ink(field, "straight")[1])
    page.get_by_text(table("en")[f"velocity.{velocity_field.TOYS[1]}"], exact=True).click()
    page.wait_for_function(
        "before => document.querySelector('#pg-velocity figure figcaption').innerText !== before",
        arg=before,
    )
    assert abs(len(ink(field, "straight")[1]) - drawn) > 0
    field.locator(".play").click()
    page.wait_for_function("document.querySelector('#pg-velocity output').textContent === 't = 0.00'")
    page.wait_for_function("document.querySelector('#pg-velocity .play').textContent === '▶'")


def test_it_fits_a_telephone_in_chinese(plane):
    page, field = plane(language="zh-CN")  # a narrow row of tabs hides some in a menu
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(500)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    assert field.locator("canvas").first.bounding_box()["width"] <= 390
    assert table("zh")["velocity.euler_steps"] in field.inner_text()
