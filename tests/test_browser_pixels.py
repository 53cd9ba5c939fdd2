"""The Pixels section in headless Chromium: reading, scrubbing, writing, completing, fields, a telephone."""

import re

import pytest

from playground.locale import table

pytestmark = pytest.mark.browser

LIKELIHOOD = re.compile("Likelihood|似然")


@pytest.fixture
def section(open_page):
    """A function that opens the section, which is the first of its tab, and waits for its first reading."""

    def open_one(**options):
        page = open_page(tab=LIKELIHOOD, **options)
        page.locator("#pg-pixels .maps").wait_for(timeout=120_000)
        page.locator("#pg-pixels-field .pair").wait_for(timeout=120_000)
        return page

    return open_one


def picture(page, name):
    return page.locator(name).evaluate("canvas => canvas.toDataURL()")


def test_a_digit_is_scrubbed_without_asking_again(section):
    page = section()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    whole = picture(page, "#pg-pixels canvas.x")
    slider, says = page.locator("#pg-pixels .slider"), page.locator("#pg-pixels .next")
    assert page.locator("#pg-pixels .total").is_visible() and not says.is_visible()
    slider.fill("300")
    assert says.is_visible() and "10, 20" in says.inner_text()
    assert picture(page, "#pg-pixels canvas.x") != whole
    assert page.locator("#pg-pixels .bars > span.drawn").count() == 1
    assert page.locator("#pg-pixels .classes .class").count() == 10
    box = page.locator("#pg-pixels .frame").nth(2).bounding_box()
    page.mouse.click(box["x"] + box["width"] * 14.5 / 28, box["y"] + box["height"] * 7.5 / 28)
    assert "7, 14" in says.inner_text() and slider.input_value() == str(7 * 28 + 14)
    slider.fill("784")
    assert picture(page, "#pg-pixels canvas.x") == whole
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == []


def test_a_model_writes_and_the_page_plays_it(section):
    page = section()
    before = picture(page, "#pg-pixels canvas.x")
    page.locator("#pg-likelihood-pixels button.pg-run").first.click()
    page.get_by_text(re.compile("^Written by")).wait_for(timeout=120_000)
    assert picture(page, "#pg-pixels canvas.x") != before
    assert not page.locator("#pg-pixels .belief").is_visible()
    page.locator("#pg-pixels .play").click()
    page.wait_for_function("() => +document.querySelector('#pg-pixels .slider').value < 700")
    page.locator("#pg-pixels .play").click()


def test_what_is_rubbed_out_is_filled_in(section):
    page = section()
    page.locator("#pg-pixels-eraser [data-mask]").last.click()  # restore all
    page.locator("#pg-likelihood-pixels button.pg-run").nth(1).click()
    page.get_by_text(table("en")["digit_pad.mask_nothing"]).wait_for()
    box = page.locator("#pg-pixels-eraser canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.8)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.8, steps=5)
    page.mouse.up()
    page.locator("#pg-likelihood-pixels button.pg-run").nth(1).click()
    page.locator("#pg-pixels-fills .pg-chip.pg-done").wait_for(timeout=120_000)
    assert page.locator("#pg-pixels-fills .cell").count() == 2 + 8
    assert page.locator("#pg-pixels-fills .cell.best").count() == 1


def test_a_click_or_an_arrow_moves_the_field(section):
    page = section()
    stack, note = (
        page.locator("#pg-pixels-field canvas").nth(1),
        page.locator("#pg-pixels-field .note").nth(1),
    )
    box = stack.bounding_box()
    stack.click(position={"x": box["width"] * 20.5 / 28, "y": box["height"] * 24.5 / 28})
    page.get_by_text(re.compile(rf"of the {24 * 28 + 20} pixels before")).first.wait_for()
    shown = picture(page, "#pg-pixels-field canvas >> nth=1")
    stack.press("ArrowUp")
    page.get_by_text(re.compile(rf"of the {23 * 28 + 20} pixels before")).first.wait_for()
    assert picture(page, "#pg-pixels-field canvas >> nth=1") != shown
    assert re.search(r"blind spot: [1-9]", note.inner_text())


def test_the_section_fits_a_telephone_and_speaks_chinese(section):
    page = section(language="zh-CN")
    shown = page.locator("#pg-likelihood-pixels").inner_text()
    assert table("zh")["pixels.field_intro"][:20] in shown and "Click a pixel" not in shown
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
