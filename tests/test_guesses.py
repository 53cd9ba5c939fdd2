"""The draws behind one noisy picture: what runs on whose clock."""

from types import SimpleNamespace

import pytest
import torch
from contract_helpers import fresh

from playground import data, guesses, jumps, registry
from playground.spec import DenoiseStep, GenerativeModel, HasScore

ONE, FEW = (jumps.names(key)[0] for key in ("one", "few"))


class Slow(GenerativeModel, HasScore):
    """A score that takes a second for every picture."""

    num_timesteps, now, asked = 100, 0.0, 0

    def __init__(self):
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.alphas_cumprod = torch.linspace(0.999, 0.001, 100)

    def add_noise(self, x0, eps, t):
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        return a.sqrt() * x0 + (1 - a).sqrt() * eps

    def predict(self, xt, t, labels=None, guidance=1.0):
        Slow.now, Slow.asked = Slow.now + len(xt), Slow.asked + 1
        return DenoiseStep(t, xt, torch.zeros_like(xt), xt)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Time that only `Slow` moves."""
    Slow.now, Slow.asked = 0.0, 0
    monkeypatch.setattr(guesses, "time", SimpleNamespace(perf_counter=lambda: Slow.now))
    monkeypatch.setattr(guesses, "_NUM_SPREAD", 16)


def bump(model, t=3):
    """The way of the single Gaussian."""
    models = {key: (fresh(name), registry.spec(name)) for key, name in (("one", ONE), ("few", FEW))}
    x0 = data.to_float(data.load("mnist", "test").images[:1])
    _, ways = guesses.enter(models | {"many": (model, registry.spec(FEW))}, x0, t, 0)
    return next(way for way in ways if way.way == "bump")


def test_a_draw_of_the_gaussian_costs_what_its_prediction_costs():
    way = bump(Slow())
    while not way.done:
        way.advance()
    assert way.seconds == way.nfe == 1, "one picture is predicted; the digits that say how wide it is cost it"


def test_a_model_is_measured_once_for_a_level():
    model = Slow()
    bump(model), bump(model)
    assert Slow.asked == 1
    bump(model, 2)
    assert Slow.asked == 2
    bump(Slow(), 2)
    assert Slow.asked == 3, "another model is measured by itself"
