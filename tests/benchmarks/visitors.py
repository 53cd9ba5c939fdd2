"""Seconds until a class that opens the address in the same moment has the page, and what it takes to begin.

Headless Chromium opens the page once, to learn what a browser asks for; then so many visitors ask for that at
once, and join the queue, each with connections of its own. Two servers take turns, one of which makes the
page, its scripts and the signatures of its components anew for everybody, as gradio does of itself.

Run: python tests/benchmarks/visitors.py [--visitors 30] [--rounds 5] [--browser /usr/bin/chromium]
"""

import argparse
import asyncio
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from playwright.sync_api import sync_playwright
from timing import in_turns, report

PORTS = {"made once": 7970, "made for each": 7971}


def serve(name: str) -> None:
    """Start one of the servers and stay."""
    import app
    from playground.tabs import page

    look = page.look()
    blocks = app.build()
    if name == "made for each":
        look["app_kwargs"]["middleware"].pop(0)
        for kind in {type(block) for block in blocks.blocks.values()}:
            del kind.__init__.__signature__
    blocks.queue(api_open=False, default_concurrency_limit=None)
    blocks.launch(server_port=PORTS[name], quiet=True, ssr_mode=False, **look)


@contextmanager
def servers() -> Iterator[None]:
    """Both of them, in processes of their own, until the block ends."""
    started = [subprocess.Popen([sys.executable, __file__, "--serve", name]) for name in PORTS]
    try:
        for port in PORTS.values():
            wait_for(f"http://127.0.0.1:{port}/")
        yield
    finally:
        for process in started:
            process.kill()


def wait_for(address: str, seconds: float = 120.0) -> None:
    """Until something answers there."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            httpx.get(address, timeout=10)
            return
        except httpx.TransportError:
            time.sleep(0.5)
    raise TimeoutError(f"Nothing answers at {address}.")


def asked_for(address: str, browser: str) -> list[str]:
    """The paths of the scripts and style sheets that a browser loads, the page's own first."""
    with sync_playwright() as playwright:
        tab = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"]).new_page()
        paths: list[str] = []
        tab.on("request", lambda request: paths.append(request.url.removeprefix(address)))
        tab.goto(address + "/")
        tab.wait_for_selector("#pg-tabs [role=tab]")
        tab.wait_for_timeout(5000)
    return ["/", *dict.fromkeys(path for path in paths if path.startswith("/assets/"))]


async def visit(address: str, paths: list[str]) -> None:
    """One visitor: six connections, as a browser has them; what comes is not unpacked here."""
    headers = {"accept-encoding": "gzip, deflate, br"}
    limits = httpx.Limits(max_connections=6)
    async with httpx.AsyncClient(
        base_url=address, headers=headers, limits=limits, timeout=600, verify=False
    ) as client:

        async def fetch(path: str) -> None:
            async with client.stream("GET", path) as response:
                response.raise_for_status()
                async for _ in response.aiter_raw():
                    pass

        await fetch(paths[0])
        await asyncio.gather(*(fetch(path) for path in paths[1:]))
        event = {"data": [], "fn_index": 0, "session_hash": uuid.uuid4().hex}
        await client.post("/gradio_api/run/predict", json=event)  # whatever it answers, the session began


def crowd(address: str, paths: list[str], num: int) -> Callable[[], float]:
    """A task: seconds until all `num` visitors have everything."""

    async def all_of_them() -> None:
        await asyncio.gather(*(visit(address, paths) for _ in range(num)))

    def once() -> float:
        start = time.perf_counter()
        asyncio.run(all_of_them())
        return time.perf_counter() - start

    return once


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--browser", default=shutil.which("chromium") or shutil.which("google-chrome"))
    parser.add_argument("--serve", choices=PORTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    addresses = {name: f"http://127.0.0.1:{port}" for name, port in PORTS.items()}
    with servers():
        paths = asked_for(addresses["made once"], arguments.browser)
        tasks = {name: crowd(address, paths, arguments.visitors) for name, address in addresses.items()}
        found = in_turns(tasks, arguments.rounds)
    report(f"{arguments.visitors} visitors at once, {len(paths)} files each", found, "s", "made once")


if __name__ == "__main__":
    main()
