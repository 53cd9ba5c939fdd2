"""Figures to take away: the page puts what is seen into a file of its own (``page/save.js``)."""

import html
from collections.abc import Sequence

from playground.locale import both

KINDS = ("svg", "png")


def buttons(name: str, figures: str, titles: Sequence[str]) -> str:
    """A button for each kind of file.

    Args:
        name: of the file, without its ending.
        figures: CSS selector of the SVG elements that go into it, one below the other or side by side.
        titles: CSS selectors of the words, as they are seen, that say above them what they are.
    """
    said = html.escape(", ".join(titles), quote=True)
    drawn = html.escape(figures, quote=True)
    made = "".join(
        f'<button type="button" data-kind="{kind}" data-name="{name}" data-figures="{drawn}" '
        f'data-titles="{said}" onclick="playground.save(this)">{both(f"common.save_{kind}")}</button>'
        for kind in KINDS
    )
    return f'<p class="pg-save">{made}</p>'
