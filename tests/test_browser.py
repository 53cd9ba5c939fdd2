"""The page in headless Chromium: languages, Compare, Sample, keys, stopping, restoring, small screens."""

import re
from xml.etree import ElementTree

import pytest
from browser_helpers import NAMES, SAMPLE, SLOW, choose, draw_long
from PIL import Image

from playground import registry
from playground.locale import table

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    "browser_language, code", [("en-US", "en"), ("zh-CN", "zh"), ("zh-HK", "zh"), ("fr-FR", "en")]
)
def test_first_paint_is_in_the_browsers_language(open_page, browser_language, code):
    page = open_page(browser_language)
    words = table(code)
    assert page.locator("h1").inner_text() == words["common.name"]
    tabs = page.get_by_role("tab").all_inner_texts()
    assert words["compare.title"] in tabs and words["sample.title"] in tabs
    page.get_by_role("button", name=words["compare.run"]).wait_for()  # the tab's content follows its title
    if code == "zh":
        shown = page.locator("body").inner_text()
        assert not [
            w for w in ("Race", "Seed", "Pictures", "Quality", "ready") if re.search(rf"\b{w}\b", shown)
        ]


def test_language_is_switched_in_place_and_remembered(open_page):
    page = open_page("en-US")
    page.get_by_label("Seed").fill("41")
    page.get_by_role("button", name="中文").click()
    page.get_by_role("button", name=table("zh")["compare.run"]).wait_for()
    assert page.get_by_label(table("zh")["common.seed"]).input_value() == "41"  # nothing was loaded anew
    page.get_by_role("tab", name=table("zh")["sample.title"]).wait_for()
    tabs = "compare sample train break_it latent diffuse translate words likelihood"
    assert page.get_by_role("tab").all_inner_texts() == [table("zh")[f"{t}.title"] for t in tabs.split()]
    assert table("zh")["compare.summary"] in page.locator("#pg-below").inner_text()
    page.get_by_label(table("zh")["common.seed"]).fill("-3")
    page.keyboard.press("Control+Enter")
    page.get_by_text("随机种子必须是").wait_for()
    page.reload()
    page.get_by_role("button", name=table("zh")["compare.run"]).wait_for()
    assert page.locator("html").get_attribute("lang") == "zh-CN"


@pytest.mark.parametrize("width", [390, 1280])
def test_names_follow_the_language_wherever_gradio_draws_them(open_page, width):
    page = open_page("en-US", width=width)
    sections = [table("zh")[f"diffuse.{key}"] for key in ("forward", "reverse")]
    page.get_by_role("button", name="中文").click()
    page.get_by_role("tab", name=table("zh")["compare.title"]).wait_for()
    if width < 500:
        page.get_by_role("button", name="More tabs").click()
    tab = page.locator("#pg-tabs > .tab-wrapper button", has_text=table("zh")["diffuse.title"])
    tab.locator("visible=true").last.click()
    page.get_by_role("tab", name=sections[0]).wait_for()
    names = page.locator(".tab-wrapper button").all_text_contents()
    assert set(sections) <= set(names) and not re.search("[A-Za-z]{4}", " ".join(names)), names
    page.get_by_role("button", name="English").click()
    page.get_by_role("tab", name=table("en")["diffuse.title"]).wait_for()
    assert not re.search("[一-鿿]", " ".join(page.locator(".tab-wrapper button").all_text_contents()))


def test_a_box_for_files_speaks_the_language(open_page):
    page = open_page("en-US", tab=SAMPLE)
    box = page.get_by_test_id("upload-text").first
    words = [[table(code)[f"common.drop_{key}"] for key in ("file", "or", "click")] for code in ("en", "zh")]
    box.wait_for()
    assert " ".join(box.text_content().split()) == " ".join(words[0])
    page.get_by_role("button", name="中文").click()
    box.get_by_text(words[1][0]).wait_for()
    assert " ".join(box.text_content().split()) == " ".join(words[1])


def test_names_stay_whole_and_in_sight_on_a_telephone(open_page):
    page = open_page(width=390, height=844)
    scroll = page.locator(".pg-summary .pg-scroll")
    scroll.wait_for()
    first = scroll.locator("tbody th").first
    left = first.evaluate("cell => cell.getBoundingClientRect().left")
    assert scroll.evaluate("box => { box.scrollLeft = 200; return box.scrollLeft; }") == 200
    assert first.evaluate("cell => cell.getBoundingClientRect().left") == pytest.approx(left, abs=1)
    cut = "all => all.filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent)"
    assert page.locator(".pg-card h3").evaluate_all(cut) == []


def test_choices_that_are_off_look_off(open_page):
    page = open_page(tab="Latent")
    page.locator(".pg-label label:has(input:disabled)").first.wait_for()
    of_one = "(one) => [one.querySelector('input').disabled, getComputedStyle(one).opacity < 0.6]"
    labels = page.locator(".pg-label label").evaluate_all(f"all => all.map({of_one})")
    assert {off for off, _ in labels} == {True, False} and all(off == pale for off, pale in labels)


def race_of(page):
    page.wait_for_selector("#pg-race .pg-chip.pg-done", timeout=120_000)
    return page.locator("#pg-race img").evaluate_all("images => images.map(image => image.src)")


def height(page, selector="#pg-race"):
    return page.locator(selector).evaluate("element => element.getBoundingClientRect().height")


COUNT = """selector => {
    window.updates = []; window.heights = new Set();
    const target = document.querySelector(selector).querySelector(".pg-cards").parentElement;
    const note = () => { window.updates.push(performance.now()); window.heights.add(target.offsetHeight); };
    new MutationObserver(note).observe(target, { attributes: true, childList: true, subtree: true });
}"""


def test_compare_races_without_jumping_and_repeats(open_page):
    page = open_page()
    page.get_by_label("Pictures").first.fill("4")
    before = height(page)
    page.evaluate(COUNT, "#pg-race")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#pg-race .pg-chip.pg-running")
    first = race_of(page)
    assert len(first) >= 2 and all(src.startswith("data:image/png") for src in first)
    assert height(page) == pytest.approx(before, abs=1) and len(page.evaluate("[...window.heights]")) == 1
    moments = page.evaluate("window.updates")
    rate = len(moments) / max((moments[-1] - moments[0]) / 1000, 1)
    assert rate <= 10, f"{rate:.1f} updates a second"
    page.get_by_role("button", name="Race").click()
    page.wait_for_selector("#pg-race .pg-chip.pg-running")
    assert race_of(page) == first
    page.wait_for_selector("#pg-below .pg-mark path")
    assert "compare only with each other" in page.locator("#pg-below").inner_text()
    for image in page.locator("#pg-race img").all():
        assert image.get_attribute("alt")


def test_compare_stops_at_once_and_does_not_say_done(open_page):
    page = open_page()
    page.get_by_label("Pictures").first.fill("64")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#pg-race .pg-card.pg-running img")
    page.keyboard.press("Escape")
    page.wait_for_selector("#pg-race .pg-chip.pg-stopped", timeout=20_000)
    assert page.locator("#pg-race .pg-card.pg-stopped").count() >= 1
    assert page.locator("#pg-race .pg-chip.pg-done").count() == 0


def test_sample_draws_scrubs_downloads_and_restores(open_page, tmp_path):
    page = open_page(tab=SAMPLE)
    panel = page.locator("#pg-film")
    choose(page, page.get_by_label("Model", exact=True).first, registry.spec(SLOW).title)
    page.get_by_label("Steps").first.fill("12")
    page.get_by_label("Pictures").locator("visible=true").first.fill("2")
    seed = page.get_by_label("Seed").locator("visible=true")
    seed.fill("77")
    before = height(page, "#pg-film")
    page.keyboard.press("Control+Enter")
    panel.locator(".pg-chip.pg-done").wait_for(timeout=60_000)
    assert height(page, "#pg-film") == pytest.approx(before, abs=1)

    requests = []
    page.on("request", lambda request: requests.append(request.url))
    slider, screen = panel.get_by_role("slider"), panel.locator(".pg-screen")
    slider.fill("0")
    at_first = screen.evaluate("element => getComputedStyle(element).backgroundPositionY")
    slider.press("End")
    at_last = screen.evaluate("element => getComputedStyle(element).backgroundPositionY")
    assert (at_first, at_last) == ("0%", "100%") and panel.locator("output").inner_text() == "12"
    assert not [url for url in requests if not url.startswith("data:")]

    with page.expect_download() as download:
        panel.get_by_role("link", name="PNG").click()
    download.value.save_as(tmp_path / "again.png")
    seed.fill("1")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "again.png")
    page.locator("#pg-restored").get_by_text("seed 77").wait_for()
    assert seed.input_value() == "77" and page.get_by_label("Steps").first.input_value() == "12"


def test_a_file_without_a_request_is_refused_in_words(open_page, tmp_path):
    page = open_page(tab=SAMPLE)
    (tmp_path / "fake.png").write_bytes(b"not a picture at all")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "fake.png")
    page.get_by_text("is not a PNG").wait_for()


def test_sample_stops_and_says_where(open_page):
    page = open_page(tab=SAMPLE)
    draw_long(page)
    page.keyboard.press("Escape")
    page.get_by_text("stopped at step").locator("visible=true").first.wait_for(timeout=20_000)


def test_controls_follow_the_model(open_page):
    page = open_page(tab=SAMPLE)
    box = page.get_by_label("Model", exact=True).first
    for name in NAMES:
        spec = registry.spec(name)
        choose(page, box, spec.title)
        page.get_by_role("heading", name=f"{spec.title} · ").wait_for()
        for control in spec.controls:
            page.get_by_label(control.label.en).locator("visible=true").first.wait_for()
        assert page.locator(".katex").locator("visible=true").count() >= 1


@pytest.mark.parametrize("tab", ["Compare", "Sample"])
def test_fits_a_telephone(open_page, tab):
    page = open_page(width=390, height=844, tab=tab)
    page.wait_for_timeout(300)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390


@pytest.mark.parametrize("tab", ["Compare", "Train"])
def test_fills_a_projector_with_larger_letters(open_page, tab):
    page = open_page(width=1920, tab=tab)
    page.wait_for_timeout(300)
    assert page.evaluate("getComputedStyle(document.documentElement).fontSize") == "18px"
    assert page.evaluate("document.querySelector('.gradio-container').getBoundingClientRect().width") == 1800


def test_theme_is_switched_and_remembered(open_page):
    page = open_page()
    dark = page.evaluate("document.body.classList.contains('dark')")
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate("document.body.classList.contains('dark')") != dark
    page.reload()
    page.wait_for_selector(".pg-card")
    page.wait_for_function(f"document.body.classList.contains('dark') !== {str(dark).lower()}")


@pytest.mark.parametrize(("code", "tag"), [("en", "en-US"), ("zh", "zh-CN")])
def test_the_trilemma_is_taken_away_as_it_is_seen(open_page, tmp_path, code, tag):
    page, words = open_page(tag), table(code)
    for kind in ("svg", "png"):
        with page.expect_download() as download:
            page.locator("#pg-below").get_by_role("button", name=words[f"common.save_{kind}"]).click()
        assert download.value.suggested_filename == f"trilemma.{kind}"
        download.value.save_as(tmp_path / f"trilemma.{kind}")
    content = (tmp_path / "trilemma.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(content)
    assert root.find("{*}title").text == words["compare.summary"]
    said = " ".join(root.itertext())
    other = table("en" if code == "zh" else "zh")
    assert words["compare.quality_axis"] in said and other["compare.quality_axis"] not in said
    assert words["compare.outward"][:12] in said
    assert "var(" not in content and "class=" not in content, "it needs no style sheet"
    with Image.open(tmp_path / "trilemma.png") as picture:
        assert (
            picture.width == 3 * int(root.get("width")) and len(picture.convert("RGB").getcolors(10**6)) > 5
        )
