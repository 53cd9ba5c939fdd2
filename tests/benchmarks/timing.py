"""Rates measured in turns, A B B A: a machine that slows down slows both, and their ratio stays."""

import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))
PATIENCE = 180.0  # seconds until a server must answer


def in_turns(tasks: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call every task once a round, after one round to warm up; the rates it returns, by name.

    Every second round goes backwards, so that nobody is always the one who comes after another.
    """
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
        for name in list(tasks)[:: -1 if number % 2 else 1]:
            rate = tasks[name]()
            if number:
                found[name].append(rate)
    return found


def ratio_quartiles(above: list[float], below: list[float]) -> list[float]:
    """The lower quartile, the median and the upper quartile over rounds of above / below."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return statistics.quantiles(ratios, method="inclusive") if len(ratios) > 1 else ratios * 3


def rate(update: Callable[[], object], num_updates: int, batch_size: int) -> float:
    """Images a second over a few updates."""
    start = time.perf_counter()
    for _ in range(num_updates):
        update()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return num_updates * batch_size / (time.perf_counter() - start)


def forever(make: Callable[[], Iterator]) -> Iterator:
    """Start an iterator again whenever it ends."""
    while True:
        yield from make()


def report(title: str, found: dict[str, list[float]], unit: str, baseline: str) -> None:
    """Medians, and median ratios to the baseline with their quartiles."""
    threads = torch.get_num_threads()
    print(f"{title} ({threads} threads, {len(found[baseline])} rounds in turns)")
    for name, values in found.items():
        spread = f"{min(values):.3g} to {max(values):.3g}"
        low, ratio, high = ratio_quartiles(values, found[baseline])
        told = f"ratio {ratio:.2f} ({low:.2f} to {high:.2f})"
        print(f"  {name:<28} {statistics.median(values):>9.4g} {unit} ({spread})  {told}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(command: list[str]) -> Iterator[tuple[str, float]]:
    """A server of Python's, told its port as ``--port``, for as long as the block lasts.

    Yields:
        its address, and the seconds from its start until it answered with a page of gradio's.
    """
    port = free_port()
    address, start = f"http://127.0.0.1:{port}", time.perf_counter()
    environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"}
    with subprocess.Popen(
        [sys.executable, *command, "--port", str(port)], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    ) as server:
        try:
            while not _answers(address):
                if server.poll() is not None:
                    raise SystemExit(f"{command} ended with status {server.returncode}.")
                if time.perf_counter() - start > PATIENCE:
                    raise SystemExit(f"{command} did not answer within {PATIENCE:.0f} s.")
                time.sleep(0.05)
            yield address, time.perf_counter() - start
        finally:
            server.kill()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/", timeout=5) as page:
            return page.status == 200 and b"gradio" in page.read()
    except (urllib.error.URLError, OSError):
        return False
