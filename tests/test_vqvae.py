"""VQ-VAE: nearest codes, their moving averages, the straight-through gradient, the network over the codes."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from playground import data
from playground.models._autoregressive import write_naively
from playground.models.pixelcnn import PixelCNNConfig
from playground.models.vqvae import SPECS, VQVAE, CodePrior, VQVAEConfig
from playground.spec import Batch

SPEC = SPECS[0]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def small(**changes):
    """A network with 5 codes on the usual grid, shaken so that nothing is silent."""
    prior = PixelCNNConfig(levels=5, channels=6, num_layers=2, reach=2, head=7, height=7, width=7)
    torch.manual_seed(3)
    model = VQVAE(VQVAEConfig(code_dim=3, widths=(4, 6), prior=prior, **changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model


def batch(progress=0.0, num=8, seed=0):
    images = data.load("mnist", "train")
    return Batch(data.to_float(images.images[:num]), images.labels[:num], rng(seed), progress)


def state(model, *parts):
    return {k: v.clone() for k, v in model.state_dict().items() if k.startswith(parts)}


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


def test_every_vector_is_replaced_by_the_nearest_code():
    model, z = small(), torch.randn(2, 3, 7, 7, generator=rng())
    distance = (z[:, None] - model.codebook[None, :, :, None, None]).square().sum(dim=2)
    codes = model.nearest(z)
    assert torch.equal(codes, distance.argmin(dim=1)) and len(codes.unique()) > 2
    gap = (z - model.vectors(codes)).square().sum(dim=1)
    torch.testing.assert_close(gap, distance.min(dim=1).values)


def test_codes_are_moving_averages_of_what_they_replace():
    model, z = small(decay=0.75, min_count=0.0), torch.randn(4, 3, 7, 7, generator=rng(1))
    model.counts.fill_(40.0)
    before, chosen = model.codebook.clone(), model.nearest(z).flatten()
    flat = z.permute(0, 2, 3, 1).flatten(0, 2)
    model._learn_codes(z, rng())
    for code in range(5):
        mine = flat[chosen == code]
        count = 0.75 * 40 + 0.25 * len(mine)
        expected = (0.75 * 40 * before[code] + 0.25 * mine.sum(0)) / count
        torch.testing.assert_close(model.codebook[code], expected)
        assert model.counts[code].item() == pytest.approx(count)


def test_codes_that_are_hardly_used_start_again_at_a_vector_of_the_batch():
    model, z = small(), torch.randn(2, 3, 7, 7, generator=rng(2))
    model.codebook[0] = 1e3
    model.counts.fill_(1.0)
    model.counts[0] = 0.0
    model._learn_codes(z, rng())
    flat = z.permute(0, 2, 3, 1).flatten(0, 2)
    assert (flat == model.codebook[0]).all(dim=1).any() and model.counts[0] == 1


def test_the_first_batch_brings_all_codes_to_where_the_vectors_are():
    model, z = small(), 100 + torch.randn(2, 3, 7, 7, generator=rng(2))
    assert model.counts.sum() == 0
    model._learn_codes(z, rng())
    assert (model.codebook - 100).abs().max() <= (z - 100).abs().max() and len(
        model.codebook.unique(dim=0)
    ) > 1


def test_the_decoders_gradient_is_handed_straight_through_to_the_encoder():
    model, given = small(), batch()
    optimizers = model.make_optimizers(SPEC.recipe)
    model.train_step(given, optimizers)  # sets the codes
    reference = small()
    reference.load_state_dict(model.state_dict())
    z_e = reference.encoder(given.x)
    reference._learn_codes(z_e.detach(), given.generator)
    z_q = reference.vectors(reference.nearest(z_e.detach())).requires_grad_()
    ink = (given.x + 1) / 2
    nats = F.binary_cross_entropy_with_logits(reference.decoder(z_q), ink, reduction="sum") / len(ink)
    (straight,) = torch.autograd.grad(nats, z_q, retain_graph=True)
    whole = straight + 2 * reference.config.beta * (z_e - z_q).detach() / len(ink)
    wanted = torch.autograd.grad(z_e, list(reference.encoder.parameters()), whole / 784)
    for group in optimizers["autoencoder"].param_groups:
        group["lr"] = 0.0
    model.max_norm = 0.0
    metrics = model.train_step(given, optimizers)
    for parameter, gradient in zip(model.encoder.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-6)
    assert metrics["reconstruction"] == pytest.approx(nats.item(), rel=1e-4)


def test_the_autoencoder_comes_first_and_the_codes_are_frozen_for_the_rest():
    model = small()
    optimizers = model.make_optimizers(SPEC.recipe)
    prior, coder = state(model, "prior"), state(model, "encoder", "decoder", "codebook", "counts")
    first = model.train_step(batch(0.0), optimizers)
    assert set(first) == {"reconstruction", "commitment", "codes_used"} and 1 <= first["codes_used"] <= 5
    assert same(prior, state(model, "prior"))
    assert not same(coder, state(model, "encoder", "decoder", "codebook", "counts"))
    coder = state(model, "encoder", "decoder", "codebook", "counts")
    second = model.train_step(batch(model.config.autoencoder), optimizers)
    assert set(second) == {"prior_nats"} and second["prior_nats"] > 0
    assert same(coder, state(model, "encoder", "decoder", "codebook", "counts"))
    assert not same(prior, state(model, "prior"))


def test_each_part_has_a_cosine_of_its_own():
    model = small()
    expected = {0.0: ("autoencoder", 1.0), 0.175: ("autoencoder", 0.5), 0.35: ("prior", 1.0),
                0.675: ("prior", 0.5), 1.0: ("prior", 0.0)}  # fmt: skip
    for progress, (part, factor) in expected.items():
        optimizers = model.make_optimizers(SPEC.recipe)
        model.train_step(batch(progress), optimizers)
        rates = {key: optimizer.param_groups[0]["lr"] for key, optimizer in optimizers.items()}
        other = "prior" if part == "autoencoder" else "autoencoder"
        assert rates[part] == pytest.approx(factor * SPEC.recipe.lr, abs=1e-9)
        assert rates[other] == SPEC.recipe.lr


def tiny_prior(dtype=torch.float64):
    config = PixelCNNConfig(levels=3, channels=4, num_layers=2, reach=1, head=5, height=2, width=2)
    torch.manual_seed(5)
    prior = CodePrior(config)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.4 * torch.randn(parameter.shape))
    return prior.to(dtype)


def test_the_probabilities_of_all_codes_sum_to_one():
    prior = tiny_prior()
    codes = torch.tensor(list(itertools.product(range(3), repeat=4))).view(-1, 2, 2)
    log_prob = prior.log_prob(prior.levels_of(codes), torch.full((81,), 6))
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-9) and log_prob.std() > 0.1


def test_a_code_depends_on_those_before_it_alone():
    prior, labels = tiny_prior(), torch.tensor([4])
    base = torch.zeros(1, 2, 2, dtype=torch.int64)
    before = prior(prior.levels_of(base), labels)[0].flatten(1)
    for place in range(4):
        changed = base.flatten().clone()
        changed[place] = 2
        after = prior(prior.levels_of(changed.view(1, 2, 2)), labels)[0].flatten(1)
        moved = (before != after).any(dim=0)
        assert not moved[: place + 1].any() and moved[place + 1 :].all()


def test_codes_travel_as_grey_levels_and_back():
    prior = small().prior
    codes = torch.arange(5).repeat(10)[:49].view(1, 7, 7)
    x = prior.levels_of(codes)
    assert torch.equal(prior.codes(x), codes) and x.min() == -1 and x.max() == 1
    seen = prior.features(x)
    assert torch.equal(seen.argmax(dim=1), codes) and torch.equal(seen.sum(dim=1), torch.ones(1, 7, 7))


def test_an_untrained_network_thinks_all_codes_as_likely():
    prior = SPEC.build().prior
    nats = prior.pixel_nats(torch.full((1, 1, 7, 7), -1.0), torch.tensor([2]))
    torch.testing.assert_close(nats, torch.full((1, 49), math.log(SPEC.config.prior.levels)))


def test_codes_are_written_row_by_row_and_painted():
    model, labels = small().eval(), torch.arange(6)
    moments = list(model.sample(6, labels=labels, generator=rng(4), temperature=0.7))
    assert [(m.step, m.num_steps, m.nfe) for m in moments] == [(i, 7, 8 * i) for i in range(1, 8)]
    uniforms = torch.rand(6, 7, 7, generator=rng(4))
    codes = model.prior.codes(write_naively(model.prior, labels, uniforms, temperature=0.7))
    with torch.no_grad():
        torch.testing.assert_close(moments[-1].x, model.paint(codes))
        empty = model.codes(torch.full((1, 1, 28, 28), -1.0))
        codes[:, 3:] = empty[:, 3:]
        torch.testing.assert_close(moments[2].x, model.paint(codes))
    assert len(codes.unique()) > 1
