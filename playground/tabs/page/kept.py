"""What is the same for every visitor, the page and its scripts, is made and packed once.

A class opens the address in the same minute, and of itself gradio builds the page and compresses some eighty
scripts for each of them (`tests/benchmarks/visitors.py` measures what that takes).
"""

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

import brotli
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from playground.tabs.page.early import asks_for_page, path_of

_MAX_BYTES = 32 * 2**20  # of all that is kept; the page and what it loads take 1 MiB packed
_BROTLI_QUALITY, _GZIP_LEVEL = 5, 6
_ORIGIN = ("host", "x-forwarded-host", "x-forwarded-proto", "x-gradio-server")  # the page names its address
_FOREVER = "public, max-age=31536000, immutable"  # a script's name changes with its content


@dataclass(frozen=True)
class Answer:
    """An answer of HTTP, whole."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    async def send(self, send: Send) -> None:
        """To a browser."""
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": self.body})


class Kept:
    """ASGI middleware: sends pages and scripts packed, from memory where they have been asked for before."""

    def __init__(self, app: ASGIApp, num_bytes: int = _MAX_BYTES) -> None:
        """Wrap `app`; the answers that were asked for longest ago go when `num_bytes` are kept."""
        self.app, self.num_bytes = app, num_bytes
        self._answers: OrderedDict[Hashable, Answer] = OrderedDict()
        self._making = asyncio.Lock()  # who asks for what is being made waits for it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not (asks_for_page(scope) or _asks_for_script(scope)):
            await self.app(scope, receive, send)
            return
        key = _key(scope)
        answer = self._find(key)
        if answer is None and key is not None:
            async with self._making:
                answer = self._find(key) or self._keep(key, await self._make(scope, receive))
        await (answer or await self._make(scope, receive)).send(send)

    def _find(self, key: Hashable | None) -> Answer | None:
        if key in self._answers:
            self._answers.move_to_end(key)
        return self._answers.get(key)

    def _keep(self, key: Hashable, answer: Answer) -> Answer:
        if answer.status == 200 and b"set-cookie" not in dict(answer.headers):
            self._answers[key] = answer
            while sum(len(kept.body) for kept in self._answers.values()) > self.num_bytes:
                self._answers.popitem(last=False)
        return answer

    async def _make(self, scope: Scope, receive: Receive) -> Answer:
        """Let the app answer, and pack it."""
        start: Message = {}
        body = bytearray()

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            body.extend(message.get("body", b""))

        await self.app(scope, receive, collect)
        headers, encoding = MutableHeaders(raw=list(start["headers"])), _encoding(scope)
        sent = bytes(body)
        if "content-encoding" not in headers:
            headers.add_vary_header("accept-encoding")
            if encoding:
                headers["content-encoding"], sent = encoding, packed(sent, encoding)
        headers["content-length"] = str(len(sent))
        if start["status"] == 200 and _asks_for_script(scope):
            headers["cache-control"] = _FOREVER
        return Answer(start["status"], tuple(headers.raw), sent)


def packed(content: bytes, encoding: str) -> bytes:
    """Text in an encoding of HTTP."""
    if encoding == "br":
        return brotli.compress(content, mode=brotli.MODE_TEXT, quality=_BROTLI_QUALITY)
    return gzip.compress(content, _GZIP_LEVEL, mtime=0)


def _key(scope: Scope) -> Hashable | None:
    """What an answer depends on; None if it may depend on more, as on a query or on who is logged in."""
    if _asks_for_script(scope):
        return path_of(scope), _encoding(scope)
    headers = Headers(scope=scope)
    if scope.get("query_string") or "access-token" in headers.get("cookie", ""):
        return None
    origin = (scope.get("scheme"), str(scope.get("server")), scope.get("root_path", ""))
    return origin, tuple(headers.get(name) for name in _ORIGIN), path_of(scope), _encoding(scope)


def _asks_for_script(scope: Scope) -> bool:
    """Whether a request is for the whole of one of gradio's scripts or style sheets."""
    if scope["type"] != "http" or scope["method"] != "GET" or "range" in Headers(scope=scope):
        return False
    path = path_of(scope)
    return path.startswith("/assets/") and path.endswith((".js", ".css"))


def _encoding(scope: Scope) -> str:
    """The best encoding that a browser takes, by its ``accept-encoding``; the empty one for none."""
    accepted = Headers(scope=scope).get("accept-encoding", "")
    parts = (part.partition(";q=") for part in accepted.replace(" ", "").lower().split(","))
    taken = {name for name, _, weight in parts if weight not in ("0", "0.0")}
    return next((name for name in ("br", "gzip") if name in taken), "")
