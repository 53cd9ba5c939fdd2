"""Puts a snippet into the page's head before it is sent, so that the first paint is in the right language.

What ``gr.Blocks.launch(head=...)`` is given reaches the page only after gradio has chosen its language.
"""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class EarlyHead:
    """ASGI middleware: inserts `snippet` after the index page's ``<head>``; everything else is untouched."""

    def __init__(self, app: ASGIApp, snippet: str) -> None:
        """Wrap `app`."""
        self.app, self.snippet = app, snippet.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not asks_for_page(scope):
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
            MutableHeaders(scope=start)["content-length"] = str(len(page))
            await send(start)
            await send({"type": "http.response.body", "body": page})

        await self.app(scope, receive, rewrite)


def path_of(scope: Scope) -> str:
    """The path of a request as the app sees it, wherever it is mounted."""
    return scope.get("path", "").removeprefix(scope.get("root_path", ""))


def asks_for_page(scope: Scope) -> bool:
    """Whether a request is for the index page."""
    return scope["type"] == "http" and scope["method"] == "GET" and path_of(scope) in ("", "/")
