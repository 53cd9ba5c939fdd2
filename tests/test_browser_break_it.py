"""The Break it tab in headless Chromium: predict, run, reveal, reload, stop, a telephone."""

import re

import pytest

from playground import breaking
from playground.locale import table

pytestmark = pytest.mark.browser

BREAK = re.compile("Break it|弄坏它")
SHORT = min(breaking.available().values(), key=lambda one: one.num_steps)  # updates until it is judged
VERDICT = "#break-verdict .verdict"


def press(page, act, key):
    """A choice on the board, once the server has drawn it as pressed."""
    page.locator(f'#break-board button[data-act="{act}"][data-key="{key}"]').click()
    page.wait_for_selector(f'#break-board button[data-key="{key}"][aria-pressed="true"]')


def running(page):
    page.wait_for_selector("#break-live .run.running", timeout=120_000)


def test_predict_run_reveal_and_come_back(open_page):
    page, words = open_page(tab=BREAK), table("en")
    page.keyboard.press("Control+Enter")
    page.get_by_text(words["break_it.predict_first"]).wait_for()
    press(page, "choose", SHORT.key)
    press(page, "guess", SHORT.answer)
    page.keyboard.press("Control+Enter")
    running(page)
    assert page.locator(VERDICT).count() == 0, "nothing is revealed before the end"
    page.locator(VERDICT).get_by_text(words["break_it.happened"]).wait_for(timeout=240_000)
    assert page.locator("#break-verdict .facts li").count() >= 1
    page.reload()
    page.get_by_role("tab", name=BREAK).click()
    page.locator(VERDICT).get_by_text(words["break_it.happened"]).wait_for()
    assert page.locator(f'#break-board [data-key="{SHORT.answer}"][aria-pressed="true"]').count() == 1
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")


def test_stopped_before_the_end_reveals_nothing(open_page):
    page, words = open_page("zh-CN", tab=BREAK), table("zh")
    longest = max(breaking.available().values(), key=lambda one: one.num_steps)
    press(page, "choose", longest.key)
    press(page, "guess", longest.outcomes[0])
    page.keyboard.press("Control+Enter")
    running(page)
    page.keyboard.press("Escape")
    page.locator(VERDICT).get_by_text(words["break_it.stopped"]).wait_for(timeout=60_000)
    assert words["break_it.happened"] not in page.locator("#break-verdict").inner_text()
