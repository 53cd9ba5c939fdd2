"""What watching costs: training images/s while a page streams, in turns with the bare loop.

Streamed is the whole way: the background worker, live samples, and a watcher that draws curves and samples
several times a second, encoded as the server sends them. With --browser a page in headless Chromium on this
machine is the watcher. At most 10% may be lost (ratio 0.90 or better).

Run: python tests/benchmarks/streaming_overhead.py [--models vae dcgan] [--seconds 5] [--rounds 5] [--browser]
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

from timing import in_turns, report

from playground import data, device, jobs, registry
from playground.job import Request
from playground.spec import ModelSpec
from playground.tabs import train as tab
from playground.training import Training, train


def endless(spec: ModelSpec, batch_size: int) -> Request:
    """A training that does not end while it is measured."""
    recipe = dataclasses.replace(spec.recipe, num_steps=100_000, batch_size=batch_size)
    return Request(spec, "mnist", recipe, seed=0)


def bare(request: Request, seconds: float) -> Callable[[], float]:
    """A task: updates without samples, worker or watcher."""
    run = Training(request.spec, data.load("mnist"), request.recipe, device=device.pick())
    events = train(run)

    def task() -> float:
        start, before = time.perf_counter(), run.step
        while time.perf_counter() - start < seconds:
            next(events)
        return (run.step - before) * request.recipe.batch_size / (time.perf_counter() - start)

    return task


def streamed(job_id: str, seconds: float, watch: Callable[[float], None]) -> Callable[[], float]:
    """A task: updates of the worker while `watch` watches for so many seconds."""
    worker = jobs.worker()

    def next_step() -> tuple[float, int]:
        """When the next update ends, and its number: a block begins and ends between two updates."""
        before = steps_of(job_id)
        while steps_of(job_id) == before:
            time.sleep(0.005)
        return time.perf_counter(), steps_of(job_id)

    def task() -> float:
        worker.resume(job_id)
        start, first = next_step()
        watch(seconds)
        end, last = next_step()
        worker.pause(job_id)
        settle(job_id)
        return (last - first) * worker.view(job_id).request.recipe.batch_size / (end - start)

    return task


def steps_of(job_id: str) -> int:
    """Updates so far."""
    event = jobs.worker().view(job_id).event
    return event.step if event else 0


def settle(job_id: str) -> None:
    """Wait for the update under way, so that it does not run beside the bare loop."""
    steps: list[int] = []
    while len(steps) < 8 or steps[-1] != steps[-8]:
        steps.append(steps_of(job_id))
        time.sleep(0.3)


def drain(job_id: str, seconds: float) -> None:
    """Watch as a page does, and encode what it is sent."""

    async def look() -> None:
        watcher = tab.watch(job_id, SimpleNamespace(session_hash="benchmark", headers={}, cookies={}))
        end = time.perf_counter() + seconds
        async for update in watcher:
            json.dumps(update)
            if time.perf_counter() > end:
                break

    with contextlib.suppress(TimeoutError):
        asyncio.run(asyncio.wait_for(look(), seconds + 1))


@contextlib.contextmanager
def page(request: Request) -> Iterator[str]:
    """The app, and a page in Chromium that has started a training; gives the job's id."""
    from playwright.sync_api import sync_playwright

    import app

    options = argparse.Namespace(host="127.0.0.1", port=7899, share=False)
    app.launch(options, prevent_thread_lock=True, quiet=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        tab_ = browser.new_page(locale="en")
        tab_.goto("http://127.0.0.1:7899/")
        tab_.get_by_role("tab", name="Train").click()
        box = tab_.get_by_label("Model", exact=True).locator("visible=true")
        box.click()
        box.fill(request.spec.title)
        tab_.get_by_role("option", name=request.spec.title, exact=True).click()
        for label, value in (("Steps", request.recipe.num_steps), ("Batch size", request.recipe.batch_size)):
            tab_.get_by_label(label, exact=True).locator("visible=true").fill(str(value))
        tab_.keyboard.press("Control+Enter")
        tab_.wait_for_selector("#train-live .run.running .shot img", timeout=120_000)
        yield tab_.evaluate("sessionStorage.getItem('playground-job')")
        browser.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["vae"])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--browser", action="store_true")
    arguments = parser.parse_args()
    for name in arguments.models:
        request, seconds = endless(registry.spec(name), arguments.batch_size), arguments.seconds
        with contextlib.ExitStack() as stack:
            if arguments.browser:
                job_id = stack.enter_context(page(request))
                watch = time.sleep
            else:
                job_id = jobs.worker().submit("benchmark", request)
                watch = lambda duration, job_id=job_id: drain(job_id, duration)  # noqa: E731
                while jobs.worker().view(job_id).event is None:
                    time.sleep(0.1)
            jobs.worker().pause(job_id)
            settle(job_id)
            tasks = {"bare loop": bare(request, seconds), "streamed": streamed(job_id, seconds, watch)}
            report(f"Training {name}", in_turns(tasks, arguments.rounds), "images/s", "bare loop")
            jobs.worker().stop(job_id)


if __name__ == "__main__":
    main()
