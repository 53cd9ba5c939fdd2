"""Seconds until a class that opens the address in the same moment has the page, and what it takes to begin.

Headless Chromium opens the page once, to learn what a browser asks for; then so many visitors ask for that at
once, and join the queue, each with connections of its own. Two servers take turns, one of which makes the
page, its scripts and the signatures of its components anew for everybody, as gradio does of itself.

Run: python tests/benchmarks/visitors.py [--visitors 30] [--rounds 5] [--browser /usr/bin/chromium]
"""

import argparse
import asyncio
import shutil
import time
import uuid
from collections.abc import Callable

import httpx
from playwright.sync_api import sync_playwright
from timing import in_turns, report, serving

ONCE, EACH = "made once", "made for each"


def serve(name: str, port: int) -> None:
    """Start one of the servers and stay."""
    import app
    from playground.tabs import page

    look = page.look()
    blocks = app.build()
    if name == EACH:
        look["app_kwargs"]["middleware"].pop(0)
        for kind in {type(block) for block in blocks.blocks.values()}:
            del kind.__init__.__signature__
    blocks.queue(api_open=False, default_concurrency_limit=None)
    blocks.launch(server_port=port, quiet=True, ssr_mode=False, **look)


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
    parser.add_argument("--serve", choices=(ONCE, EACH), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.port)
        return
    with serving([__file__, "--serve", ONCE]) as (once, _), serving([__file__, "--serve", EACH]) as (each, _):
        addresses = {ONCE: once, EACH: each}
        paths = asked_for(once, arguments.browser)
        tasks = {name: crowd(address, paths, arguments.visitors) for name, address in addresses.items()}
        found = in_turns(tasks, arguments.rounds)
    report(f"{arguments.visitors} visitors at once, {len(paths)} files each", found, "s", ONCE)


if __name__ == "__main__":
    main()
