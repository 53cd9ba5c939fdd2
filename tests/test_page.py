"""The page as it is sent: its first words, its encoding, its size, and the phrases that travel with it."""

import ast
import gzip
import json
from pathlib import Path

import brotli
import gradio
import pytest
from app_helpers import awaited

import app
from playground import locale
from playground.tabs import common
from playground.tabs.page import early

TABS = Path(common.__file__).parent
PAGE = b"<html><head><title>x</title></head>" + b"<p>again and again</p>" * 200 + b"</html>"


def served(path="/", method="GET", **headers):
    """Status, headers and body of a request through the middleware, the page being sent in two parts."""

    async def inner(scope, receive, send):
        given = [(b"content-length", str(len(PAGE)).encode()), (b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": given})
        await send({"type": "http.response.body", "body": PAGE[:100], "more_body": True})
        await send({"type": "http.response.body", "body": PAGE[100:]})

    sent = []

    async def send(message):
        sent.append(message)

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": given}
    awaited(early.EarlyHead(inner, "<style></style>")(scope, None, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}, body


@pytest.mark.parametrize(
    ("accepted", "encoding", "unpack"),
    [
        ("gzip, deflate, br, zstd", "br", brotli.decompress),
        ("gzip;q=0.5", "gzip", gzip.decompress),
        ("br;q=0, gzip", "gzip", gzip.decompress),
        ("identity", None, bytes),
        ("", None, bytes),
    ],
)
def test_the_page_is_packed_as_the_browser_takes_it(accepted, encoding, unpack):
    headers, body = served(accept_encoding=accepted)
    assert headers.get("content-encoding") == encoding and int(headers["content-length"]) == len(body)
    assert unpack(body) == PAGE.replace(b"<head>", b"<head><style></style>")
    assert headers["vary"] == "accept-encoding" and headers["content-type"] == "text/html"
    assert encoding is None or len(body) < len(PAGE) / 10


@pytest.mark.parametrize(("path", "method"), [("/config", "GET"), ("/", "HEAD"), ("/", "POST")])
def test_nothing_else_is_touched(path, method):
    headers, body = served(path, method, accept_encoding="br")
    assert body == PAGE and "content-encoding" not in headers


@pytest.fixture(scope="module")
def config():
    return app.build().get_config_file()


def test_only_the_phrases_of_components_travel_and_all_of_them_do(config):
    said = set()

    def collect(value):
        if isinstance(value, dict):
            for one in value.values():
                collect(one)
        elif isinstance(value, list | tuple):
            for one in value:
                collect(one)
        elif hasattr(value, "to_dict"):
            said.add(value.to_dict()["key"])

    collect(config["components"])
    sent = common.I18N.translations_dict
    assert said and all(said <= set(table) for table in sent.values())
    assert len(sent["en"]) < len(locale.table("en")) / 2
    assert all(set(table) == set(sent["en"]) for table in sent.values())


def test_what_gradio_says_in_a_box_for_files_is_known():
    """It does not say it anew in another language, so the page does, by these very words."""
    assets = Path(gradio.__file__).parent / "templates" / "frontend" / "assets"
    told = "".join(path.read_text(encoding="utf-8") for path in assets.glob("zh-CN-*.js"))
    words = [locale.text(f"common.drop_{key}", "zh") for key in ("file", "or", "click")]
    assert all(f"`{word.strip('- ')}`" in told for word in words)


def test_no_handler_asks_for_a_phrase_that_the_page_has_not_got():
    """`common.word` adds to what is sent with the page, so it is of no use once the page is there."""
    for path in sorted(TABS.glob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef) or path.name == "common.py":
                continue
            handles = "request" in [argument.arg for argument in function.args.args]
            called = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
            words = [name for name in called if getattr(name, "attr", "") == "word"]
            assert not (handles and words), f"{path.name}: {function.name}"


def test_the_page_is_no_larger_than_it_must_be(config):
    """A phrase, a script or a picture twice is cheap once packed; a picture in every pad is not."""
    large = {
        component["props"].get("elem_id"): size
        for component in config["components"]
        if (size := len(json.dumps(component, default=str))) > 160_000
    }
    assert not large, "what is large is fetched when its tab is opened: common.on_show"
    everything = json.dumps(config, default=str)
    assert len(everything) < 2_000_000
    assert len(brotli.compress(everything.encode(), quality=4)) < 400_000
