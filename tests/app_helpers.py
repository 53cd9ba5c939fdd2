"""What the tests of the tabs share."""

import asyncio
import base64
import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import gradio as gr
import pytest
from PIL import Image

from playground import registry
from playground.tabs import compare

NAMES = registry.names("Samples")
QUICK = [name for name in NAMES if registry.spec(name).family in ("vae", "gan")][:2]


def asked(language="en", session="test", cookie=None):
    """What gradio hands to a handler."""
    cookies = {} if cookie is None else {"playground-language": cookie}
    return SimpleNamespace(session_hash=session, headers={"accept-language": language}, cookies=cookies)


def is_sentence(error) -> bool:
    text = error.message
    return (
        10 < len(text) < 400 and "Traceback" not in text and "\n" not in text and "on the server" not in text
    )


def refused(call):
    """The sentence a call ends with; it must end with one."""
    with pytest.raises(gr.Error) as caught:
        call()
    assert is_sentence(caught.value), caught.value.message


def pictures(html):
    return re.findall(r'src="(data:image/png[^"]+)"', html)


def last_race(names, seed=3, num=2, label="any"):
    updates = compare.run_race(names, seed, label, num, asked())
    return [cards for cards, _ in updates if isinstance(cards, str)]


def opened(address):
    return Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))


def updates(stream):
    return [json.loads(update) for update in stream if isinstance(update, str)]


def awaited(coroutine):
    """What a coroutine returns, in a thread of its own: browser tests leave a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
