"""A tab made of sections: a line of introduction and a tab of its own for every section there is."""

import gradio as gr

from playground import tabs
from playground.locale import both
from playground.tabs import common, page


def build(prefix: str, intro: str) -> None:
    """Lay out the sections ``PREFIX_*.py`` (`tabs.sections`) of a tab under a phrase of introduction."""
    titles = page.named(module.SECTION_TITLE for module in tabs.sections(prefix))
    common.html(f'<p class="pg-intro" data-tab-titles="{titles}">{both(intro)}</p>')
    with gr.Tabs(elem_id=f"pg-{prefix}-tabs", elem_classes="pg-sections"):
        for module in tabs.sections(prefix):
            key = module.__name__.rpartition(".")[2]
            with gr.Tab(common.word(module.SECTION_TITLE), id=key, elem_id=f"pg-{key.replace('_', '-')}"):
                module.build()
