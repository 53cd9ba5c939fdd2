"""Truncation's curve on a model whose best setting, fidelity and variety are known."""

from dataclasses import replace

import pytest
import torch
from tiny import SPEC

from playground import judge, registry, truncation
from playground.nn import randn
from playground.spec import Control, GenerativeModel, Samples, SampleStep, Words

CONTROL = Control("truncation", Words("Truncation", "截断"), 1.0, 0.0, 2.4, 0.1)


class Normal(GenerativeModel, Samples):
    """Draws N(0, truncation^2) pixels; the real ones are N(0, 1)."""

    def __init__(self, config):
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(1))

    def sample(self, num, *, labels=None, generator, truncation=1.0, **controls):
        yield SampleStep(1, 1, truncation * randn((num, 1, 2, 2), generator), 1)


@pytest.fixture
def measured(monkeypatch):
    spec = replace(SPEC, model=Normal, controls=(CONTROL,))
    real = torch.randn(3000, 4, generator=torch.Generator().manual_seed(5))
    monkeypatch.setattr(judge, "features", lambda *_: real)
    monkeypatch.setattr(judge, "look", lambda x, *_: (x.flatten(1), torch.zeros(len(x), 10)))
    steps = truncation.measure(spec, spec.build(), 600)
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as stop:
            return events, stop.value["truncation"]


def test_the_curve_trades_fidelity_for_variety(measured):
    _, entry = measured
    assert entry["settings"] == pytest.approx([0.0, 0.4, 0.8, 1.2, 1.6, 2.0, 2.4]) and entry["num"] == 600
    assert entry["precision"][1] > entry["precision"][3] > entry["precision"][6]
    assert entry["recall"][1] < entry["recall"][3] and entry["coverage"][1] < entry["coverage"][2]
    assert entry["recall"][0] == 0  # one picture, again and again
    assert (
        entry["value"] in (0.8, 1.2)
        and min(entry["fid"]) == entry["fid"][entry["settings"].index(entry["value"])]
    )


def test_progress_counts_every_sample_once(measured):
    events, _ = measured
    done = [event.done for event in events]
    assert done == sorted(done) and done[-1] == events[-1].total == 600 * 7


def test_it_applies_to_the_models_with_the_control():
    assert truncation.applies(registry.spec("dcgan")) and not truncation.applies(registry.spec("vae"))
    with pytest.raises(ValueError, match="no truncation"):
        truncation.settings(registry.spec("vae"))
