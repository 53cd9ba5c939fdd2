"""DCGAN: whom each update changes, its losses, its batch norm under averaged weights, its latents."""

import copy

import pytest
import torch
from torch import nn

from playground import data
from playground.models.cgan import CGAN, CGANConfig
from playground.models.dcgan import DCGAN, SPECS, DCGANConfig
from playground.spec import Batch, Recipe

SMALL = DCGANConfig(latent_dim=8, generator_widths=(16, 12, 8), discriminator_widths=(8, 12, 16))
HP = Recipe(num_steps=10, batch_size=16, lr=4e-4, betas=(0.5, 0.999))


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def small(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DCGAN(SMALL).train()


def batch(num=16, seed=0):
    images = data.load("mnist", "train")
    return Batch(data.to_float(images.images[:num]), images.labels[:num], rng(seed), 0.0)


def parameters(network):
    return [parameter.detach().clone() for parameter in network.parameters()]


def changed(before, network):
    return [not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True)]


@pytest.mark.parametrize(
    ("moving", "still"), [("discriminator", "generator"), ("generator", "discriminator")]
)
def test_each_update_changes_its_own_player_only(moving, still):
    model = small()
    optimizers = model.make_optimizers(HP)
    for group in optimizers[still].param_groups:
        group["lr"] = 0.0  # the other player's update must then be the only one there is
    mine, other = parameters(getattr(model, moving)), parameters(getattr(model, still))
    model.train_step(batch(), optimizers)
    assert all(changed(mine, getattr(model, moving)))
    assert not any(changed(other, getattr(model, still)))


def test_the_generators_update_leaves_no_gradient_on_the_discriminator():
    """D's gradients after a whole step are those of D's own loss."""
    model, twin = small(), small()
    model.train_step(batch(), model.make_optimizers(HP))
    fake = twin.generator(torch.randn(16, 8, generator=rng())).detach()
    real_logits, fake_logits = twin.discriminator(batch().x), twin.discriminator(fake)
    target = SMALL.techniques.real_label
    d_real, d_fake = real_logits.sigmoid(), fake_logits.sigmoid()
    loss = -(target * d_real.log() + (1 - target) * (1 - d_real).log() + (1 - d_fake).log()).mean()
    loss.backward()
    pairs = zip(model.discriminator.parameters(), twin.discriminator.parameters(), strict=True)
    for found, expected in pairs:
        assert found.requires_grad
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-4, atol=1e-6)


def test_metrics_are_the_losses_and_probabilities():
    model = small()
    metrics = model.train_step(batch(), model.make_optimizers(HP))
    assert set(metrics) == {"loss_d", "loss_g", "d_real", "d_fake", "grad_d", "grad_g"}
    assert 0 < metrics["d_real"] < 1 and 0 < metrics["d_fake"] < 1
    assert metrics["loss_d"] == pytest.approx(2 * 0.693, abs=0.5)  # an untrained D says one half
    assert metrics["loss_g"] == pytest.approx(0.693, abs=0.5)


def test_the_discriminator_learns_to_tell():
    model = small()
    optimizers = model.make_optimizers(HP)
    for group in optimizers["generator"].param_groups:
        group["lr"] = 0.0
    first = model.train_step(batch(), optimizers)
    for step in range(15):
        last = model.train_step(batch(seed=step), optimizers)
    assert last["loss_d"] < first["loss_d"]
    assert last["d_real"] - last["d_fake"] > first["d_real"] - first["d_fake"]


def test_every_parameter_gets_a_finite_gradient():
    model = small()
    model.train_step(batch(), model.make_optimizers(HP))
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_weights_start_as_the_paper_says():
    model = SPECS[0].build(0)
    for module in model.modules():
        if isinstance(module, nn.ConvTranspose2d | nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.mean().item() == pytest.approx(1.0, abs=0.01)


def test_recalibrate_makes_eval_mode_match_the_batches():
    model = small()
    with torch.no_grad():
        for parameter in model.parameters():  # other weights than the statistics belong to
            parameter.mul_(1.5)
    z = torch.randn(256, 8, generator=rng(1))
    with torch.no_grad():
        expected = copy.deepcopy(model).train().generator(z)
        stale = copy.deepcopy(model).eval().generator(z)
        model.eval()
        images = data.load("mnist", "train")
        x = data.to_float(images.images[:256])
        shared = rng(3)
        model.recalibrate(iter([Batch(x, images.labels[:256], shared, 1.0) for _ in range(8)]))
        found = model.generator(z)
    assert not model.generator.training and not model.training
    norms = [m for m in model.generator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(norm.momentum == 0.1 and norm.num_batches_tracked == 8 for norm in norms)
    assert (found - expected).abs().mean() < 0.2 * (stale - expected).abs().mean()


def test_recalibrating_twice_gives_the_same_statistics():
    one, two = small(), small()
    for model in (one, two):
        model.recalibrate(iter([batch(), batch(seed=1)]))
        model.recalibrate(iter([batch(), batch(seed=1)]))
    two.recalibrate(iter([batch(), batch(seed=1)]))
    for key, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[key]), key


def test_decoding_the_noise_is_sampling():
    model = SPECS[0].build(0).eval()
    alone = {"langevin": 0}
    drawn = list(model.sample(4, generator=rng(7), **alone))
    assert len(drawn) == 1 and drawn[0].nfe == 1
    z = torch.randn(4, *model.latent_shape, generator=rng(7))
    with torch.no_grad():
        assert torch.equal(drawn[0].x, model.decode(z))
        half = next(model.sample(4, generator=rng(7), truncation=0.5, **alone)).x
        assert torch.equal(half, model.decode(0.5 * z))
    assert torch.equal(drawn[0].x, next(model.sample(4, generator=rng(7), **alone)).x)
    assert not torch.equal(drawn[0].x, next(model.sample(4, generator=rng(8), **alone)).x)


def test_a_picture_does_not_depend_on_its_neighbours():
    model = SPECS[0].build(0).eval()
    z = torch.randn(5, *model.latent_shape, generator=rng())
    with torch.no_grad():
        torch.testing.assert_close(model.decode(z)[:1], model.decode(z[:1]), rtol=1e-4, atol=1e-5)


def test_without_truncation_left_every_picture_is_the_same():
    x = next(SPECS[0].build(0).eval().sample(3, generator=rng(), truncation=0.0, langevin=0)).x
    torch.testing.assert_close(x[0], x[2])


def test_who_takes_labels_and_gets_none_draws_them_after_the_latents():
    """One who takes none draws nothing beside its latents, so its pictures are those of these latents."""
    widths = {"generator_widths": (16, 12, 8), "discriminator_widths": (8, 12, 16)}
    told = CGAN(CGANConfig(latent_dim=8, **widths)).eval()
    generator = rng(3)
    z, labels = torch.randn(6, 8, generator=generator), torch.randint(10, (6,), generator=generator)
    assert len(set(labels.tolist())) > 2
    (drawn,) = told.sample(6, generator=rng(3))
    (asked,) = told.sample(6, labels=labels, generator=rng(3))
    with torch.no_grad():
        assert torch.equal(drawn.x, told.decode(z, labels)) and torch.equal(drawn.x, asked.x)
    plain, generator = small().eval(), rng(3)
    (drawn,) = plain.sample(6, generator=generator, langevin=0)
    after = rng(3)
    z = torch.randn(6, 8, generator=after)
    with torch.no_grad():
        assert torch.equal(drawn.x, plain.decode(z))
    assert torch.equal(generator.get_state(), after.get_state())
