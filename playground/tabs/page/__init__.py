"""How the page looks: header, theme, style sheet and the script that knows the language."""

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from playground import locale
from playground.tabs import pieces
from playground.tabs.page.early import EarlyHead
from playground.tabs.page.kept import Kept

_SANS = [
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Noto Sans CJK SC",
    "PingFang SC",
    "Microsoft YaHei",
    "sans-serif",
]
_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]


# What gradio does not say anew, or says in English alone.
_GRADIO = ("common.drop_file", "common.drop_or", "common.drop_click", "common.error", "common.note")


def header(titles: Sequence[str]) -> str:
    """The name, what the page answers, and the switches of language and theme."""
    names = {"en": ("English", "en-GB"), "zh": ("中文", "zh-CN")}
    buttons = "".join(
        f'<button type="button" data-language-button="{code}" lang="{tag}" '
        f"onclick=\"playground.language('{code}')\">{name}</button>"
        for code, (name, tag) in names.items()
    )
    return (
        f'<header class="pg-header" data-tab-titles="{named((*titles, *_GRADIO))}"><div>'
        f"<h1>{locale.both('common.name')}</h1>"
        f"<p>{locale.both('common.question')}</p></div>"
        f'<div class="pg-switches"><div role="group" aria-label="Language 语言">{buttons}</div>'
        '<button type="button" onclick="playground.theme()" aria-label="Light or dark 浅色或深色">'
        '<span aria-hidden="true">◐</span></button></div>'
        '<p id="pg-said" class="pg-sr" role="status"></p></header>'
    )


def named(titles: Iterable[str]) -> str:
    """Titles of tabs in both languages, as an attribute from which the page renames them."""
    said = [{code: locale.text(key, code) for code in locale.LANGUAGES} for key in titles]
    return html.escape(json.dumps(said))


def theme() -> gr.themes.Base:
    """Calm, flat, legible on a projector; system fonts, so that nothing is fetched."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.blue,
        neutral_hue=gr.themes.colors.slate,
        font=_SANS,
        font_mono=_MONO,
        radius_size=gr.themes.sizes.radius_md,
    ).set(
        body_background_fill="#f7f9fc",
        body_background_fill_dark="#0f1623",
        block_background_fill="#ffffff",
        block_background_fill_dark="#151d2b",
        block_border_color="#cfd8e6",
        block_border_color_dark="#2b374a",
        button_primary_background_fill="#0b62a4",
        button_primary_background_fill_hover="#094f85",
        button_primary_background_fill_dark="#2474b5",
        button_primary_background_fill_hover_dark="#1d639c",
        block_info_text_color="#55637a",
        block_info_text_color_dark="#9fb0c8",
        body_text_color_subdued="#55637a",
        body_text_color_subdued_dark="#9fb0c8",
        slider_color="#0b62a4",
        slider_color_dark="#63b3f5",
    )


def look() -> dict[str, Any]:
    """The arguments of `gr.Blocks.launch` that decide how the page looks."""
    scripts = "".join(f"<script>{pieces.page(name)}</script>" for name in ("page.js", "save.js"))
    early = f"<style>{pieces.page('head.css')}</style>{scripts}"
    return {
        "theme": theme(),
        "css": pieces.page("page.css"),
        "footer_links": ["api"],
        "app_kwargs": {"middleware": [Middleware(Kept), Middleware(EarlyHead, snippet=early)]},
    }
