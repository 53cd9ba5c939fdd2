"""Rates measured in turns, A B B A: a machine that slows down slows both, and their ratio stays."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))


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
