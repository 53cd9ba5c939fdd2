"""Puts a snippet into the page's head before it is sent, so that the first paint is in the right language.

What ``gr.Blocks.launch(head=...)`` is given reaches the page only after gradio has chosen its language. The
page is sent compressed as well: gradio compresses by file extension, and the address of a page has none.
"""

import gzip
from functools import lru_cache

import brotli
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BROTLI_QUALITY, _GZIP_LEVEL = 4, 5  # a twentieth of a second for a page of a megabyte


@lru_cache(maxsize=6)
def packed(page: bytes, encoding: str) -> bytes:
    """A page in an encoding of HTTP; everybody asks for the same one."""
    if encoding == "br":
        return brotli.compress(page, mode=brotli.MODE_TEXT, quality=_BROTLI_QUALITY)
    return gzip.compress(page, _GZIP_LEVEL, mtime=0) if encoding == "gzip" else page


def encoding_for(accepted: str) -> str:
    """The best encoding that a browser takes, by its ``accept-encoding``; the empty one for none."""
    parts = (part.partition(";q=") for part in accepted.replace(" ", "").lower().split(","))
    taken = {name for name, _, weight in parts if weight not in ("0", "0.0")}
    return next((name for name in ("br", "gzip") if name in taken), "")


class EarlyHead:
    """ASGI middleware: inserts `snippet` after the index page's ``<head>`` and packs it; else untouched."""

    def __init__(self, app: ASGIApp, snippet: str) -> None:
        """Wrap `app`."""
        self.app, self.snippet = app, snippet.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or scope["method"] != "GET" or path not in ("", "/"):
            await self.app(scope, receive, send)
            return
        start: Message = {}
        body = bytearray()

        async def rewrite(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            page = bytes(body).replace(b"<head>", b"<head>" + self.snippet, 1)
            headers, sent = MutableHeaders(scope=start), page
            if "content-encoding" not in headers:
                headers.add_vary_header("accept-encoding")
                encoding = encoding_for(Headers(scope=scope).get("accept-encoding", ""))
                if encoding:
                    headers["content-encoding"] = encoding
                    sent = packed(page, encoding)
            headers["content-length"] = str(len(sent))
            await send(start)
            await send({"type": "http.response.body", "body": sent})

        await self.app(scope, receive, rewrite)
