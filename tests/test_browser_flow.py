"""The Flow and VAE sections in headless Chromium: scrubbing, editing, drawing, measuring, a telephone."""

import re

import pytest

pytestmark = pytest.mark.browser

LIKELIHOOD = re.compile("Likelihood|似然")


@pytest.fixture
def section(open_page):
    """A function that opens one section and waits for what it shows by itself."""

    def open_one(title, ready, **options):
        page = open_page(tab=LIKELIHOOD, **options)
        page.get_by_role("tab", name=re.compile(f"^({title})$")).first.click()
        page.wait_for_selector(ready)
        return page

    return open_one


def watch_requests(page):
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    return lambda: [url for url in requests if not url.startswith(("data:", "blob:"))]


def test_a_way_is_scrubbed_without_a_round_trip(section):
    page = section("Flow|流模型", "#pg-flow-way .bar")
    panel = page.locator("#pg-flow-way")
    asked, slider = watch_requests(page), panel.get_by_role("slider")
    where = "element => getComputedStyle(element).backgroundPositionX"
    slider.press("End")
    assert panel.locator(".frame").evaluate(where) == "100%"
    back = panel.locator(".title").inner_text()
    panel.locator(".bar").nth(2).click()
    assert panel.locator(".title").inner_text() != back
    assert panel.locator(".bar.here").count() == 1
    first, last = panel.locator("output").inner_text().split(" / ")
    assert first == "2" and int(last) == panel.locator(".bar").count()
    assert asked() == []


def test_an_edit_changes_the_picture_and_samples_are_drawn(section):
    page = section("Flow|流模型", "#pg-flow-edited img")
    edited = page.locator("#pg-flow-edited figure:nth-child(2) img").first
    before = edited.get_attribute("src")
    page.locator("#pg-flow-editor [data-group='0'] [data-choice=other]").click()
    page.wait_for_function(
        "before => document.querySelector('#pg-flow-edited figure:nth-child(2) img').src !== before",
        arg=before,
    )
    page.locator("button.pg-run").locator("visible=true").click()
    page.locator("#pg-flow-heat .pg-chip.pg-done").wait_for(timeout=60_000)
    assert page.locator("#pg-flow-heat .columns img").count() == 9


def test_the_cloud_follows_the_pen_and_is_measured(section):
    page = section("VAE", "#pg-posterior .dim .q[d]")
    panel = page.locator("#pg-posterior")
    before = panel.locator("img.x").get_attribute("src"), panel.locator(".q").first.get_attribute("d")
    page.locator("#pg-posterior-pad .wipe").click()
    box = page.locator("#pg-posterior-pad canvas").bounding_box()
    page.mouse.move(box["x"] + 90, box["y"] + 40)
    page.mouse.down()
    for y in range(40, 150, 6):
        page.mouse.move(box["x"] + 90, box["y"] + y)
    moved = "before => document.querySelector('#pg-posterior img.x').src !== before"
    page.wait_for_function(moved, arg=before[0])  # the pen is still down
    page.mouse.up()
    page.wait_for_function(
        "d => document.querySelector('#pg-posterior .q').getAttribute('d') !== d", arg=before[1]
    )
    assert "bits/dim" in panel.locator(".terms").inner_text()
    page.locator("button.pg-run").locator("visible=true").click()
    page.locator("#pg-posterior-tight .pg-chip.pg-done").wait_for(timeout=60_000)
    assert page.locator("#pg-posterior-tight svg .pg-line").count() == 1


@pytest.mark.parametrize(
    ("title", "ready"), [("Flow|流模型", "#pg-flow-way .bar"), ("VAE", "#pg-posterior .dim")]
)
def test_on_a_telephone_nothing_sticks_out(section, title, ready):
    page = section(title, ready)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
