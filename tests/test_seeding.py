"""Seeded library code: the same numbers, and nobody else notices."""

import torch

from playground.seeding import seeded


def test_the_same_seed_draws_the_same_and_leaves_no_trace(monkeypatch):
    def disturbed(*_):
        raise AssertionError("another device's generator was seeded")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", disturbed)
    monkeypatch.setattr(torch.mps, "manual_seed", disturbed)
    before, drawn = torch.get_rng_state(), []
    for seed in (3, 3, 4):
        with seeded(seed):
            drawn.append(torch.rand(5))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn[0], torch.rand(5, generator=torch.Generator().manual_seed(3)))
