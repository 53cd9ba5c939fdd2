"""What the browser tests of Compare and Sample share."""

import re

from playground import registry

NAMES = registry.names("Samples")
SLOW = next(name for name in NAMES if any(c.key == "num_steps" for c in registry.spec(name).controls))
SAMPLE = re.compile("Sample|采样")


def choose(page, box, title):
    """Pick an entry of a gradio drop-down by typing it."""
    box.click()
    box.fill(title)
    page.get_by_role("option", name=title, exact=True).click()


def draw_long(page):
    """Start a run on the Sample tab that takes far longer than a test; returns the box of the model."""
    box = page.get_by_label("Model", exact=True).first
    choose(page, box, registry.spec(SLOW).title)
    page.get_by_label("Steps").first.fill("1000")
    page.get_by_role("button", name="Draw").click()
    page.wait_for_selector("#pg-film .pg-screen")
    return box
