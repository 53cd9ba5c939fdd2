"""All models: every likelihood on a card, one table for each group of numbers that compare."""

import gradio as gr

from playground.locale import both
from playground.tabs import common
from playground.tabs import likelihood_cards_panel as panel
from playground.tabs.pieces import page

SECTION = 60
SECTION_TITLE = "likelihood.cards"


def build() -> None:
    """Lay the section out."""
    common.html(f'<p class="pg-intro">{both("likelihood.cards_intro")}</p>')
    gr.HTML(
        panel.tables(), apply_default_css=False, css_template=page("likelihood_cards.css"),
        elem_id="pg-likelihoods",
    )  # fmt: skip
