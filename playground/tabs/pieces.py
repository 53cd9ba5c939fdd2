"""The pieces that the panels of every tab are made of: how a number, a state and a picture are said.

Style sheets and scripts are read here, and here is what a panel is sent while it computes, when it was
stopped and when its handler failed.
"""

import functools
import html
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from playground import figures
from playground.locale import both, words
from playground.tabs.runs import Superseded

DASH = "–"
_PAGE = Path(__file__).parent / "page"
_Stream = Callable[..., Iterator[Any]]


def page(name: str) -> str:
    """A style sheet or a script of the page."""
    return (_PAGE / name).read_text(encoding="utf-8")


def spoken(key: str, **params: Any) -> str:
    """A phrase in both languages for a screen reader, safe inside an attribute."""
    return html.escape(" · ".join(words(key, **params)), quote=True)


def number(value: float | None) -> str:
    """Three digits are enough on a projector."""
    if value is None:
        return DASH
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def address(x: Tensor, columns: int | None = None) -> str:
    """Pictures (B, C, H, W) without gaps as one image."""
    return figures.png_data_uri(figures.grid(x, columns, gap=0))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that scrolls in itself where the page is narrow.

    Args:
        heads: keys of what stands above the columns.
        rows: cells as HTML, the first of each says what the row is of.
    """
    head = "".join(f'<th scope="col">{both(key)}</th>' for key in heads)
    body = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for name, *cells in rows
    )
    return f'<div class="pg-scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def chip(state: str) -> str:
    """How far a panel is: ``running``, ``done`` or ``stopped``."""
    return f'<span class="pg-chip pg-{state}">{both(f"latent.{state}")}</span>'


def cost(nfe: int, seconds: float, num: int = 1) -> str:
    """What `num` pictures that were drawn together have cost, each."""
    return both("diffuse.refine_cost", nfe=f"{nfe:,}", milliseconds=number(1000 * seconds / num))


def busy(share: float) -> str:
    """While it is computed: what was drawn before stays, dimmed."""
    done = both("latent.share", percent=round(100 * share)) if share else both("latent.preparing")
    return json.dumps({"busy": True, "status": f"{chip('running')}<span>{done}</span>"})


def stopped() -> str:
    """It was stopped: what was drawn before stays."""
    return json.dumps({"busy": False, "status": chip("stopped")})


def settling(end: Callable[[], Any]) -> Callable[[_Stream], _Stream]:
    """Under `common.guarded`: a handler that fails on its way shows `end`, not a panel still computing."""

    def settle(handler: _Stream) -> _Stream:
        @functools.wraps(handler)
        def watch(*args: Any, **kwargs: Any) -> Iterator[Any]:
            begun = False
            try:
                for value in handler(*args, **kwargs):
                    begun = True
                    yield value
            except Superseded:  # the panel is the newer run's
                raise
            except Exception:  # whatever it is, it goes on to be told
                if begun:
                    yield end()
                raise

        return watch

    return settle


settled = settling(stopped)
