"""The Likelihood tab in headless Chromium: scoring, one digit for all, the pad, languages, a telephone."""

import re

import pytest

from playground.locale import table

pytestmark = pytest.mark.browser

LIKELIHOOD = re.compile("Likelihood|似然")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="30" height="30"/>'


@pytest.fixture
def section(open_page):
    """A function that opens a section of the tab."""

    def open_one(name, **options):
        page = open_page(tab=LIKELIHOOD, **options)
        words = [table(code)[f"{name}.title"] for code in ("en", "zh")]
        page.get_by_role("tab", name=re.compile(f"^({'|'.join(words)})$")).click()
        page.locator(f"#pg-{name}-board").wait_for()
        return page

    return open_one


def leave(page, name, num):
    """Take models out of the choice until `num` are left."""
    tokens = page.locator(f"#pg-likelihood-{name} .token-remove:not(.remove-all)")
    tokens.first.wait_for()
    while tokens.count() > num:
        tokens.last.click()


def run(page, name):
    page.locator(f"#pg-likelihood-{name} button.pg-run").click()
    board = page.locator(f"#pg-{name}-board")
    board.locator(".pg-chip.pg-done").wait_for(timeout=180_000)
    return board


def test_a_likelihood_is_scored_and_drawn(section):
    page = section("anomaly")
    leave(page, "anomaly", 1)
    page.get_by_label(re.compile("number input for Pictures of each kind")).fill("10")
    board = run(page, "anomaly")
    assert board.locator("article svg").count() == 1
    rows = board.locator("tbody tr")
    assert rows.count() in (3, 4)  # with the clothes, where they are on this machine
    assert board.locator(".missing").count() == 4 - rows.count()
    assert "nats" in board.locator(".black").inner_text()
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390


def test_a_drawn_digit_goes_through_models(section):
    page = section("families")
    leave(page, "families", 1)
    pad = page.locator("#pg-families-pad")
    pad.locator(".wipe").click()
    page.locator("#pg-likelihood-families button.pg-run").click()
    page.get_by_text(table("en")["digit_pad.nothing"]).wait_for()
    box = pad.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.8, steps=6)
    page.mouse.up()
    board = run(page, "families")
    assert board.locator("article.done .main").count() == 1 and board.locator(".why:visible").count() == 1
    drawn = board.locator(".pg-status img").get_attribute("src")
    pad.locator("[data-digit='7']").click()
    assert pad.locator("[data-digit='7']").get_attribute("aria-pressed") == "true"
    board.evaluate("board => { board.querySelector('.pg-done').className = ''; }")  # of the run before
    page.locator("#pg-likelihood-families button.pg-run").click()
    page.wait_for_function(
        "before => (document.querySelector('#pg-families-board .pg-status img')?.src ?? before) !== before",
        arg=drawn,
    )
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390


def test_pressing_a_class_again_brings_another_digit_of_it(section):
    page = section("families")
    button, canvas = (
        page.locator("#pg-families-pad [data-digit='4']"),
        page.locator("#pg-families-pad canvas"),
    )
    seen = set()
    for _ in range(3):
        button.click()
        page.wait_for_timeout(100)
        seen.add(canvas.evaluate("canvas => canvas.toDataURL()"))
    assert len(seen) == 3


def test_what_is_no_picture_gets_a_sentence_in_chinese(section, tmp_path):
    page = section("families", language="zh-CN")
    (tmp_path / "a.png").write_bytes(SVG)
    page.locator("#pg-families-pad input[type=file]").set_input_files(tmp_path / "a.png")
    page.locator("#pg-families-pad img[src]").wait_for(state="attached")
    page.locator("#pg-likelihood-families button.pg-run").click()
    page.get_by_text(table("zh")["errors.picture_svg"]).wait_for()
    shown = page.locator("#pg-likelihood-families").inner_text()
    assert table("zh")["families.intro"][:20] in shown and "Give one digit" not in shown


def test_sections_follow_the_language(section):
    page = section("families")
    page.get_by_role("button", name="中文").click()
    page.get_by_role("tab", name=table("zh")["families.title"]).wait_for()
    page.get_by_role("tab", name=table("zh")["anomaly.title"]).wait_for()
