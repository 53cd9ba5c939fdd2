"""What the tests of background training share: a tiny model to train, tiny pictures, a worker, waiting."""

import math
import threading
import time
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from playground import data, jobs
from playground.data import Images
from playground.job import Request
from playground.nn import adam, randn, update
from playground.spec import (
    About,
    GenerativeModel,
    HasLatent,
    ModelSpec,
    Recipe,
    Samples,
    SampleStep,
    Switch,
    Words,
)


@dataclass(frozen=True)
class TinyConfig:
    seconds: float = 0.0  # an update takes at least this long
    fails_at: int = 0  # the update, counted from 1, that fails
    failure: str = ""  # with which error; empty for a loss that is not finite


class Tiny(GenerativeModel, Samples):
    """One linear layer whose updates can be slow or fail on demand, and tell what a switch stands at."""

    weight = 1.0
    running = threading.Semaphore(1)  # two updates at once on one device would be a bug

    def __init__(self, config):
        super().__init__()
        self.config, self.calls, self.net = config, 0, nn.Linear(4, 4)

    def make_optimizers(self, hp):
        return {"net": adam(self.parameters(), hp)}

    def tune(self, values):
        self.weight = values.get("weight", self.weight)

    def train_step(self, batch, optimizers):
        assert self.running.acquire(blocking=False)
        try:
            time.sleep(self.config.seconds)
            self.calls += 1
            loss = (self.net(batch.x.flatten(1)) - batch.x.flatten(1)).square().mean()
            if self.calls == self.config.fails_at:
                if self.config.failure:
                    raise RuntimeError(self.config.failure)
                loss = loss * math.nan
            update(loss, optimizers["net"])
            return {"loss": loss.item(), "weight": self.weight}
        finally:
            self.running.release()

    def sample(self, num, *, labels=None, generator, **controls):
        yield SampleStep(1, 1, self.net(randn((num, 4), generator)).view(num, 1, 2, 2), 1)


class TinyLatent(Tiny, HasLatent):
    """The same, drawing in one pass."""


ABOUT = About(Words("One.", "一。"), "x", Words("One.", "一。"), Words("One.", "一。"))
RECIPE = Recipe(num_steps=100_000, batch_size=96, ema=0.9)


SWITCHES = (
    Switch("weight", Words("Weight", "权重"), 1.0, 0.0, 10.0),
    Switch("layers", Words("Layers", "层数"), 1, 1, 3, live=False),
)


def request(name="tiny", recipe=RECIPE, model=Tiny, switches=None, **config):
    spec = ModelSpec(
        name, "Tiny", "vae", 2024, "0000.00000", model, TinyConfig(**config), recipe, ABOUT,
        switches=SWITCHES, dataset="squares",
    )  # fmt: skip
    return Request(spec, "squares", recipe, seed=3, switches=switches or {})


@pytest.fixture(name="squares", autouse=True)
def make_squares(monkeypatch):
    pixels = torch.randint(
        0, 256, (256, 1, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    images = Images("squares", pixels, torch.zeros(256, dtype=torch.int64), ("square",))
    monkeypatch.setattr(data, "load", lambda name, split="train": images)


@pytest.fixture(name="worker")
def make_worker(monkeypatch):
    monkeypatch.setattr(jobs, "SLICE", 0.05)
    made = jobs.Worker(torch.device("cpu"))
    yield made
    for job_id, unfinished in list(made._jobs.items()):
        if not unfinished.over:
            made.stop(job_id)
            until(made, job_id, "stopped", "failed", "done")


def until(worker, job_id, *states, seconds=30.0, steps=0):  # the first view with at least so many steps
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        view = worker.view(job_id)
        if view.state in states and (view.event.step if view.event else 0) >= steps:
            return view
        time.sleep(0.002)
    raise AssertionError(f"{worker.view(job_id).state} is none of {states} after {seconds} s")
