"""The Words tab in headless Chromium: an example, the slider, the way between prompts, a telephone."""

import re

import pytest

pytestmark = pytest.mark.browser

WORDS = re.compile("^(Words|文字)$")


def drawn(page, panel):
    page.locator(f"{panel} .pg-chip.pg-done").wait_for(timeout=120_000)


def shown(page, panel):
    return page.locator(f"{panel} .frame").first.evaluate("frame => frame.style.backgroundPosition")


def test_an_example_is_drawn_and_scrubbed_without_asking_again(open_page):
    page = open_page(tab=WORDS)
    page.locator("#pg-words-chips button", has_text="blue cat").click()
    drawn(page, "#pg-words")
    assert page.get_by_label("Prompt").first.input_value() == "blue cat with sunglasses"
    assert page.locator("#pg-words .lane").count() == 2
    page.locator("#pg-words .note figure").nth(2).wait_for(timeout=120_000)
    words = page.locator("#pg-words .lane").nth(1).locator("figcaption").all_inner_texts()
    assert [text.split(" ")[0] for text in words[1:]] == ["blue", "cat", "with", "sunglasses", "noto"]
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    before = shown(page, "#pg-words")
    page.locator("#pg-words .slider").fill("0")
    assert shown(page, "#pg-words") != before
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == []


def test_the_way_between_two_prompts_is_walked(open_page):
    page = open_page(tab=WORDS)
    page.get_by_role("tab", name="Between two prompts").click()
    page.get_by_role("button", name="Draw the way").click()
    drawn(page, "#pg-words-way")
    page.locator("#pg-words-way .slider").fill("6")
    assert page.locator("#pg-words-way output").inner_text() == "100%"


def test_an_empty_prompt_is_refused_in_a_sentence(open_page):
    page = open_page(tab=WORDS)
    page.get_by_label("Prompt").first.fill(" ")
    page.locator("#pg-words-draw button.pg-run").click()
    page.get_by_text("is empty; type English words").first.wait_for(timeout=20_000)


def test_it_fits_a_telephone(open_page):
    page = open_page(tab=WORDS)
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#pg-words-chips button", has_text="octopus").click()
    drawn(page, "#pg-words")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
