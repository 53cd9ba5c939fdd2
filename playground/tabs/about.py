"""What models are: idea, formula, strengths, weaknesses and paper, in both languages, from their files."""

from collections.abc import Sequence

import gradio as gr

from playground.locale import LANGUAGES, both
from playground.locale import text as said
from playground.spec import ModelSpec
from playground.tabs import film

_DELIMITERS: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "$", "right": "$", "display": False},
]


def component(specs: Sequence[ModelSpec]) -> gr.Markdown:
    """A block that explains models one below the other; `text` changes it."""
    return gr.Markdown(text(specs), latex_delimiters=_DELIMITERS, elem_classes="pg-about")


def text(specs: Sequence[ModelSpec]) -> str:
    """Models in Markdown with their formulas, in both languages."""
    return "\n\n".join(map(_one, specs))


def _one(spec: ModelSpec) -> str:
    about, first, second = spec.about, [], []
    for code in LANGUAGES:
        first.append(f'<div lang="{code}">\n\n{getattr(about.summary, code)}\n\n</div>')
        second.append(
            f'<div lang="{code}">\n\n'
            f"**{said('sample.strengths', code)}** {getattr(about.strengths, code)}\n\n"
            f"**{said('sample.weaknesses', code)}** {getattr(about.weaknesses, code)}\n\n"
            f"{_paper(spec, code)}\n\n</div>"
        )
    head = f"### {spec.title} · {both(f'families.family_{spec.family}')}, {spec.year}"
    if source := film.source(spec):
        first.append(source)
    return "\n\n".join([head, *first, f"$${about.formula}$$", *second])


def _paper(spec: ModelSpec, code: str) -> str:
    """Where the model is from: a link to arXiv, or the paper by its name where it is not there."""
    if spec.paper:
        return f"[{said('sample.paper', code, paper=spec.paper)}](https://arxiv.org/abs/{spec.paper})"
    return said("sample.cited", code, citation=spec.citation) if spec.citation else ""
