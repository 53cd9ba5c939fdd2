"""The page as it is sent: its first words, its encoding, its size, and the phrases that travel with it."""

import ast
import asyncio
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
from playground.tabs.page import early, kept

TABS = Path(common.__file__).parent
PAGE = b"<html><head><title>x</title></head>" + b"<p>again and again</p>" * 200 + b"</html>"


class Inner:
    """An app that sends PAGE in two parts, and counts how often it was asked."""

    def __init__(self, status=200, **headers):
        self.asked, self.status = 0, status
        self.headers = {"content-length": str(len(PAGE)), "content-type": "text/html"} | headers

    async def __call__(self, scope, receive, send):
        self.asked += 1
        await asyncio.sleep(0)
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": PAGE[:100], "more_body": True})
        await send({"type": "http.response.body", "body": PAGE[100:]})


def stack(inner, **options):
    """Both middlewares around an app, as the page is served."""
    return kept.Kept(early.EarlyHead(inner, "<style></style>"), **options)


async def ask(served, path="/", method="GET", query=b"", **headers):
    """Headers and body of one request."""
    sent = []

    async def send(message):
        sent.append(message)
        message.get("headers", []).append((b"x-seen", b"1"))  # as outer layers add theirs

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": given}
    await served(scope | {"query_string": query}, None, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    pairs = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs), body


def served(path="/", method="GET", **headers):
    """Headers and body of a request through both middlewares."""
    return awaited(ask(stack(Inner()), path, method, **headers))


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


SCRIPT = "/assets/index-abc.js"


@pytest.mark.parametrize("path", ["/", SCRIPT, "/assets/index-abc.css"])
def test_what_is_the_same_for_everybody_is_made_once(path):
    inner = Inner()
    layers = stack(inner)

    async def crowd():
        return await asyncio.gather(*(ask(layers, path, accept_encoding="br") for _ in range(5)))

    first, *others = awaited(crowd())
    assert inner.asked == 1 and all(other == first for other in others)
    assert ("immutable" in first[0].get("cache-control", "")) == (path != "/")
    assert awaited(ask(layers, path, accept_encoding="gzip"))[0]["content-encoding"] == "gzip"
    assert inner.asked == 2


@pytest.mark.parametrize(
    "other",
    [
        {"host": "b"},
        {"x_forwarded_host": "a.org"},
        {"x_forwarded_proto": "https"},
        {"query": b"deep_link=1"},
        {"cookie": "access-token-1=x"},
    ],
)
def test_a_page_that_may_be_another_is_made_for_itself(other):
    inner = Inner()
    layers = stack(inner)
    awaited(ask(layers, **({"host": "a"} | other)))
    awaited(ask(layers, host="a"))
    assert inner.asked == 2
    awaited(ask(layers, **({"host": "a"} | other)))
    assert inner.asked == (3 if {"query", "cookie"} & set(other) else 2)


@pytest.mark.parametrize("inner", [Inner(status=404), Inner(**{"set-cookie": "a=b"})])
def test_an_error_or_a_cookie_is_never_sent_again(inner):
    layers = stack(inner)
    for number in (1, 2):
        headers, _ = awaited(ask(layers, SCRIPT))
        assert inner.asked == number
    assert inner.status == 200 or "cache-control" not in headers


def test_a_part_of_a_script_and_a_font_are_left_to_the_app():
    for path, headers in ((SCRIPT, {"range": "bytes=0-9"}), ("/assets/mono.woff2", {})):
        found, body = served(path, accept_encoding="br", **headers)
        assert body == PAGE and "content-encoding" not in found


def test_what_was_asked_for_longest_ago_goes_first():
    inner = Inner()
    layers = stack(inner, num_bytes=2 * len(PAGE))
    for name, asked in (("a", 1), ("b", 2), ("a", 2), ("c", 3), ("a", 3), ("b", 4)):
        awaited(ask(layers, f"/assets/{name}.js"))
        assert inner.asked == asked, name


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
