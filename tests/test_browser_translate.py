"""The Translate tab in headless Chromium: search, keyboard, drawing, before and after, a telephone."""

import re

import pytest

pytestmark = pytest.mark.browser

TRANSLATE = re.compile("^(Translate|转换)$")


@pytest.fixture
def tab(open_page):
    """A function that opens the tab and waits for its picker."""

    def open_one(**options):
        page = open_page(tab=TRANSLATE, **options)
        page.locator("#pg-translate-source canvas").wait_for(timeout=120_000)
        return page

    return open_one


def rows(page):
    return page.locator("#pg-translate .all tr[data-show]")


def test_an_emoji_is_found_by_its_name_and_picked_by_keyboard(tab):
    page = tab()
    page.locator("#pg-translate-source input[type=search]").fill("bana")
    there = page.locator("#pg-translate-source .grid[data-kind=emoji] button:not([hidden])")
    assert there.count() == 1
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.pick") == "emoji:720"
    page.keyboard.press("Enter")
    page.locator("#pg-translate").get_by_text("grinning face").first.wait_for(timeout=120_000)
    assert rows(page).count() == 3, "the banana was among the four, so it left"
    page.locator("#pg-translate-source input[type=search]").fill("nothing such")
    assert page.locator("#pg-translate-source .none").is_visible()


def test_a_picture_is_taken_apart_and_wiped(tab):
    page = tab()
    page.locator("#pg-translate-source .some").click()
    rows(page).nth(7).wait_for(timeout=120_000)
    rows(page).nth(2).click()
    part = page.locator("#pg-translate section:not([hidden])")
    assert part.count() == 1 and part.get_attribute("data-of") == "2"
    part.locator("input[type=range]").first.fill("20")
    assert part.locator(".wipe").first.evaluate("one => one.style.getPropertyValue('--at')") == "20%"
    address = page.locator("#pg-translate a[download]").first.get_attribute("href")
    assert address.startswith("data:image/png;base64,")


def test_a_drawn_sketch_becomes_an_emoji(tab):
    page = tab()
    page.locator("[data-route=sketch-twemoji]").click()
    rows(page).nth(3).wait_for(timeout=120_000)
    box = page.locator("#pg-translate-source canvas").bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.6 * box["height"], steps=6)
    page.mouse.up()
    page.wait_for_function("() => document.querySelectorAll('#pg-translate tr[data-show]').length === 1")
    assert page.locator("#pg-translate .all th").count() >= 2


def test_stop_keeps_what_was_drawn_and_keys_press_the_buttons_where_the_focus_is(tab):
    page = tab()
    page.keyboard.press("Control+Enter")
    rows(page).nth(3).wait_for(timeout=120_000)
    page.locator("#pg-translate .pg-done").wait_for()
    assert page.locator(".pg-about .katex:visible").count() >= 2, "CycleGAN and pix2pix"
    page.locator("[data-route=sketch-twemoji]").click()
    page.keyboard.press("Escape")  # it may be over by then: what Stop keeps is tested in test_translate_tab
    page.locator("#pg-translate .pg-running").wait_for(state="hidden", timeout=120_000)
    page.locator("#pg-translate .pg-stopped, #pg-translate .pg-done").wait_for()
    assert rows(page).count() == 4
    page.get_by_role("button", name="Published generators").click()
    page.locator("#pg-published").wait_for()
    page.locator("input[aria-label='From which look to which']").focus()
    page.keyboard.press("Control+Enter")
    page.get_by_text("Choose a picture first.").wait_for()  # the published section's own run


def test_digits_have_a_grid_of_their_own(tab):
    page = tab()
    page.locator("[data-route=digit-outline]").click()
    rows(page).nth(3).wait_for(timeout=120_000)
    assert page.locator("#pg-translate-source .grid[data-kind=test]").is_visible()
    assert not page.locator("#pg-translate-source .grid[data-kind=emoji]").is_visible()


def test_on_a_telephone_nothing_is_wider_than_the_page(tab):
    page = tab(language="zh-CN")  # by its tab: on a telephone it is in a menu
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#pg-translate-source .some").click()
    rows(page).nth(7).wait_for(timeout=120_000)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")
    assert page.get_by_text("转过去再转回来").first.is_visible()
