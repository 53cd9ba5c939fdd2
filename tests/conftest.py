"""What several test files share: untrained weights in a folder of their own, the app and a browser."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from playground import registry, weights

ROOT = Path(__file__).parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def pytest_configure(config):
    config.addinivalue_line("markers", "browser: drives the app in headless Chromium")


def save_untrained(folder, without=()):
    """Weights of every model as it is built, with a card that has invented metrics, under `folder`."""
    before = os.environ.get("PLAYGROUND_PRETRAINED")
    os.environ["PLAYGROUND_PRETRAINED"] = str(folder)
    try:
        for name in registry.names():
            if name in without:
                continue
            spec = registry.spec(name)
            metrics = {
                "fid": {"value": 8.0, "num": 10_000, "times_floor": 4.0},
                "coverage": {"value": 0.5, "num": 5_000},
            }
            card = {
                "name": name, "title": spec.title, "family": spec.family, "summary": "Untrained.",
                "licence": "none", "source": "a test", "metrics": metrics,
            }  # fmt: skip
            weights.save(name, registry.build(name).state_dict(), card)
    finally:
        if before is None:
            del os.environ["PLAYGROUND_PRETRAINED"]
        else:
            os.environ["PLAYGROUND_PRETRAINED"] = before


@pytest.fixture(scope="session")
def untrained_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("untrained")
    save_untrained(folder)
    return folder


@pytest.fixture
def untrained(untrained_folder, monkeypatch):
    """The app's models, untrained, in place of the shipped ones."""
    monkeypatch.setenv("PLAYGROUND_PRETRAINED", str(untrained_folder))
    monkeypatch.setenv("PLAYGROUND_DEVICE", "cpu")
    registry.unload()
    yield untrained_folder
    registry.unload()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(folder, log):
    """The app in a process of its own; gives its address once it answers."""
    port = free_port()
    env = os.environ | {
        "PLAYGROUND_PRETRAINED": str(folder),
        "PLAYGROUND_DEVICE": "cpu",
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "app.py", "--port", str(port)]
    with (
        log.open("w") as out,
        subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 120
            while not answers(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"The app did not start:\n{log.read_text()[-2000:]}")
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def answers(url) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="session")
def app_url(untrained_folder, tmp_path_factory):
    with serving(untrained_folder, tmp_path_factory.mktemp("app") / "log") as url:
        yield url


@pytest.fixture(scope="session")
def chromium():
    """A headless browser; the test is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        except sync_api.Error as error:
            pytest.skip(f"No browser: {error.message.splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, app_url):
    """A function that opens the app in a fresh profile; no page may end with an error of its script."""
    contexts, errors = [], []

    def open_one(language="en-US", width=1280, height=900, tab=None, query=""):
        context = chromium.new_context(locale=language, viewport={"width": width, "height": height})
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(app_url + query)
        page.wait_for_selector("#pg-tabs button[role=tab]")
        if tab is not None:
            page.get_by_role("tab", name=tab).click()
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not errors, errors
