"""The Latent tab in headless Chromium: sections, scrubbing without a round trip, walking, drawing."""

import re

import pytest

from playground import registry
from playground.locale import table
from playground.tabs import latent_request

pytestmark = pytest.mark.browser

LATENT = re.compile("Latent|隐空间")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="30" height="30"/>'


@pytest.fixture
def latent_page(open_page):
    """A function that opens the tab with a model that encodes."""

    def open_one(**options):
        page = open_page(tab=LATENT, **options)
        page.wait_for_selector("#pg-latent-nav [data-section]")
        box = page.get_by_label(re.compile("Model|模型"), exact=True).locator("visible=true").first
        specs = map(registry.spec, registry.names("Encodes"))
        title = next(spec.title for spec in specs if "map" in latent_request.sections(spec))
        box.click()
        box.fill(title)
        page.get_by_role("option", name=title, exact=True).click()
        page.wait_for_selector("#pg-latent-nav [data-section=map]")
        return page

    return open_one


def run(page, section):
    """Open a section, press its button and wait for its panel."""
    page.locator(f"#pg-latent-nav [data-section={section}]").click()
    panel = page.locator(f"#pg-latent-{section}")
    panel.locator(".pg-status").evaluate("element => { element.innerHTML = ''; }")  # of the run before
    page.locator(f".pg-part-{section} button.pg-run").click()
    panel.locator(".pg-chip.pg-done").wait_for(timeout=120_000)
    return panel


def watch_requests(page):
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    return lambda: [url for url in requests if not url.startswith(("data:", "blob:"))]


def test_a_path_is_scrubbed_without_a_round_trip_and_downloaded(latent_page, tmp_path):
    page = latent_page()
    panel = run(page, "interpolate")
    asked, slider = watch_requests(page), panel.get_by_role("slider")
    frame = panel.locator(".frame").first
    where = "element => getComputedStyle(element).backgroundPositionX"
    slider.press("End")
    assert frame.evaluate(where) == "100%" and panel.locator("output").inner_text() == "100%"
    slider.press("Home")
    assert frame.evaluate(where) == "0%"
    panel.locator(".film").first.click()
    assert frame.evaluate(where) == "50%"
    assert asked() == []
    with page.expect_download() as download:
        panel.get_by_role("link", name="GIF").click()
    download.value.save_as(tmp_path / "film.gif")
    assert (tmp_path / "film.gif").read_bytes().startswith(b"GIF8")
    assert panel.locator("tbody tr").count() == 2
    run(page, "interpolate")
    assert panel.locator("tbody tr").count() == 4


def test_only_one_section_is_seen_and_the_keys_run_it(latent_page):
    page = latent_page()
    for section in ("grid", "interpolate"):
        page.locator(f"#pg-latent-nav [data-section={section}]").click()
        assert page.locator(".pg-latent-part:visible").count() == 1
    page.keyboard.press("Control+Enter")
    page.locator("#pg-latent-interpolate .pg-chip.pg-done").wait_for(timeout=60_000)


def test_a_map_is_hovered_and_walked(latent_page):
    page = latent_page()
    panel = run(page, "map")
    asked, canvas, big = watch_requests(page), panel.locator("canvas"), panel.locator(".big")
    box = canvas.bounding_box()
    seen = set()
    for share in (0.1, 0.5, 0.9):
        canvas.hover(position={"x": box["width"] * share, "y": box["height"] * share})
        seen.add(big.evaluate("element => element.style.backgroundPosition"))
    assert len(seen) == 3
    canvas.click(position={"x": box["width"] * 0.2, "y": box["height"] * 0.2})
    canvas.click(position={"x": box["width"] * 0.8, "y": box["height"] * 0.7})
    panel.locator(".way div.now").first.wait_for()
    assert panel.locator(".way div").count() == 24 and asked() == []
    panel.locator(".clear").click()
    assert panel.locator(".way div").count() == 0
    canvas.press("ArrowRight")
    canvas.press("Enter")


def test_a_digit_is_drawn_and_encoded(latent_page):
    page = latent_page()
    pad = page.locator("#pg-pad-start canvas")
    box = pad.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.8, steps=6)
    page.mouse.up()
    panel = run(page, "interpolate")
    assert (
        panel.locator(".thumbs img").count() == 2
        and "your picture" in panel.locator(".pg-status").inner_text()
    )
    page.locator("#pg-pad-start .wipe").click()
    panel = run(page, "interpolate")
    assert "seed 0 → seed 1" in panel.locator(".pg-status").inner_text()
    assert panel.locator(".thumbs img").count() == 0


def test_what_is_no_picture_gets_a_sentence(latent_page, tmp_path):
    page = latent_page(language="zh-CN")
    (tmp_path / "a.png").write_bytes(SVG)
    page.locator("#pg-pad-end input[type=file]").set_input_files(tmp_path / "a.png")
    page.locator("#pg-pad-end img[src]").wait_for(state="attached")
    page.locator(".pg-part-interpolate button.pg-run").click()
    page.get_by_text(table("zh")["errors.picture_svg"]).wait_for()


def test_directions_keep_the_names_they_are_given(latent_page):
    page = latent_page()
    panel = run(page, "directions")
    panel.locator("input.named").nth(1).fill("slant")
    panel = run(page, "directions")
    page.wait_for_function(
        "document.querySelectorAll('#pg-latent-directions input.named')[1].value === 'slant'"
    )
    assert panel.locator("input.named").first.input_value() == ""


def test_it_fits_a_telephone(latent_page):
    page = latent_page()  # on a telephone the tab is in gradio's menu
    page.set_viewport_size({"width": 390, "height": 844})
    run(page, "interpolate")
    run(page, "grid")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
