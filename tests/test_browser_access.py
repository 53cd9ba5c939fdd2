"""The page in headless Chromium for those who hear it, use a keyboard alone, or hold it in a hand."""

import pytest
from browser_helpers import SAMPLE, draw_long

from playground.locale import table

pytestmark = pytest.mark.browser


def test_a_run_is_told_twice_as_it_starts_and_as_it_ends(open_page):
    page = open_page()
    page.evaluate(
        """() => { window.told = []; const line = document.getElementById("pg-said");
        new MutationObserver(() => told.push(line.textContent)).observe(line, { childList: true }); }"""
    )
    assert page.evaluate("told") == []
    page.get_by_role("button", name=table("en")["compare.run"]).click()
    page.wait_for_function("told.length > 1", timeout=120_000)
    first, last = page.evaluate("told")
    assert first == table("en")["compare.running"] and last.startswith(table("en")["compare.done"] + " ")
    assert page.locator("#pg-below [role=status], #pg-race [role=status]").count() == 0  # not each per cent


def test_escape_closes_an_open_list_and_only_then_stops(open_page):
    page = open_page(tab=SAMPLE)
    box = draw_long(page)
    box.click()
    page.get_by_role("option").first.wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("option").first.wait_for(state="detached")
    page.wait_for_timeout(1500)
    assert page.locator("#pg-film .pg-chip.pg-running").count() == 1
    page.keyboard.press("Escape")
    page.wait_for_selector("#pg-film .pg-chip.pg-stopped", timeout=20_000)


def test_the_focus_is_seen_on_gradios_own_boxes(open_page):
    page = open_page(tab=SAMPLE)
    for kind in ("number", "range"):
        page.locator(f"input[type={kind}]:visible").first.focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Shift+Tab")
        style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert style == "solid", kind


def test_every_tab_has_a_heading_and_the_window_a_name_in_its_language(open_page):
    page = open_page("zh-CN", tab=SAMPLE)
    page.get_by_role("heading", name=table("zh")["sample.title"], level=2, exact=True).wait_for()
    page.wait_for_function(f"document.title === {table('zh')['common.name']!r}")
    page.get_by_role("button", name="English").click()
    page.wait_for_function(f"document.title === {table('en')['common.name']!r}")


def test_on_a_telephone_what_was_asked_for_appears_under_its_button(open_page):
    page = open_page(width=390, height=844, tab=SAMPLE)
    button, panel = (page.locator(f"{one}:visible").first for one in (".pg-run", "#pg-film"))
    button.wait_for()
    below = button.bounding_box()
    assert 0 < panel.bounding_box()["y"] - below["y"] < 200
