"""Rates measured in turns, A B A B: a machine that slows down slows both, and their ratio stays."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))


def in_turns(tasks: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call every task once a round, after one round to warm up; the rates it returns, by name."""
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
        for name, task in tasks.items():
            rate = task()
            if number:
                found[name].append(rate)
    return found


def median_ratio(above: list[float], below: list[float]) -> float:
    """The median over rounds of above / below."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


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
    """Medians, and median ratios to the baseline."""
    threads = torch.get_num_threads()
    print(f"{title} ({threads} threads, {len(found[baseline])} rounds in turns)")
    for name, values in found.items():
        spread = f"{min(values):.3g} to {max(values):.3g}"
        ratio = median_ratio(values, found[baseline])
        print(f"  {name:<28} {statistics.median(values):>9.4g} {unit} ({spread})  ratio {ratio:.2f}")
