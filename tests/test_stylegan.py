"""StyleGAN: AdaIN, mixing, truncation, growth and fade-in, equalised learning rate, noise, R1, the batch."""

import copy

import pytest
import torch
import torch.nn.functional as F

from playground import data
from playground.models._resample import double, halve
from playground.models._stylegan_networks import (
    Equalised,
    Mapping,
    StyleGANConfig,
    adain,
    fixed_noise,
    growth_at,
)
from playground.models.stylegan import SPECS, StyleGAN
from playground.spec import Batch, Recipe

SMALL = StyleGANConfig(
    latent_dim=8, mapping_layers=2, generator_widths=(16, 8, 8), discriminator_widths=(16, 8, 8)
)
HP = Recipe(num_steps=10, batch_size=8, lr=1e-3)
MARKS = SMALL.growth


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def small(seed=0, growth=2.0):
    """A model shaken so that what starts at zero (the noise's strength, the biases) takes part."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = StyleGAN(SMALL)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return grown(model.eval(), growth)


def grown(model, growth):
    model.generator.growth.fill_(growth)
    model.discriminator.growth.fill_(growth)
    return model


def latents(num=2, seed=0):
    return torch.randn(num, 8, generator=rng(seed))


def batch(num=8, progress=0.0, step=0):
    images = data.load("mnist", "train")
    return Batch(data.to_float(images.images[:num]), images.labels[:num], rng(step), progress, step)


def test_adain_gives_every_channel_the_styles_mean_and_deviation():
    x = 3 + 2 * torch.randn(4, 5, 14, 14, generator=rng())
    scale, shift = torch.rand(4, 5, generator=rng(1)) + 0.5, torch.randn(4, 5, generator=rng(2))
    y = adain(x, scale, shift)
    deviation, mean = torch.std_mean(y, (2, 3), unbiased=False)
    torch.testing.assert_close(mean, shift, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(deviation, scale, rtol=1e-4, atol=1e-4)


def test_the_mapping_ignores_the_length_of_z():
    mapping = Mapping(8, 2, 10)
    torch.testing.assert_close(mapping(latents()), mapping(3 * latents()), rtol=1e-4, atol=1e-6)
    assert not torch.allclose(mapping(latents()), mapping(-latents()))


def test_the_label_is_embedded_beside_z_and_the_same_for_all_of_its_latents():
    mapping, z = Mapping(8, 2, 10), torch.randn(2, 6, 8, generator=rng())
    w = mapping(z, torch.tensor([3, 7]))
    assert w.shape == (2, 6, 8)
    torch.testing.assert_close(w[1], mapping(z[1], torch.full((6,), 7)))
    assert not torch.allclose(w[1], mapping(z[1], torch.full((6,), 3)))
    with torch.no_grad():
        mapping.embedding.zero_()
    torch.testing.assert_close(mapping(z, torch.tensor([3, 7])), mapping(z))


def test_the_discriminator_adds_a_projection_of_the_label():
    d, x = small().discriminator, batch(4).x
    d.set_minibatch("none")
    with torch.no_grad():
        plain = d(x)
        d.out.raw[1:], d.out.raw_bias[1:] = 0, torch.arange(10.0)  # what is left of the label is its number
        torch.testing.assert_close(d(x, torch.tensor([1, 0, 9, 4])) - plain, torch.tensor([1.0, 0, 9, 4]))


def test_equalised_layers_start_at_unit_deviation_and_hes_scale_in_use():
    layer = Equalised((64, 32, 3, 3))
    assert layer.raw.std().item() == pytest.approx(1, rel=0.05)
    assert layer.weight.std().item() == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.05)
    slow, plain = Equalised((64, 64), pace=0.01), Equalised((64, 64))
    assert slow.weight.std().item() == pytest.approx(plain.weight.std().item(), rel=0.05)
    with torch.no_grad():  # the same step of Adam moves the slow one's weights a hundredth as far
        before = [layer.weight.clone() for layer in (slow, plain)]
        for layer in (slow, plain):
            layer.raw.add_(0.5)
        moved = [(layer.weight - old).mean() for layer, old in zip((slow, plain), before, strict=True)]
    assert (moved[0] / moved[1]).item() == pytest.approx(0.01, rel=1e-3)


def test_growth_follows_the_progress():
    a, b, c, d = MARKS
    assert [growth_at(p, MARKS) for p in (0, a, b, (b + c) / 2, c, d, 1)] == [0, 0, 1, 1, 1, 2, 2]
    assert growth_at((a + b) / 2, MARKS) == pytest.approx(0.5)
    model = StyleGAN(SMALL).train()
    optimizers = model.make_optimizers(HP)
    for progress, growth in ((0.0, 0.0), ((c + d) / 2, 1.5), (1.0, 2.0)):
        model.train_step(batch(progress=progress), optimizers)
        assert model.generator.growth == model.discriminator.growth == pytest.approx(growth, abs=1e-4)
    assert "generator.growth" in model.state_dict(), "a checkpoint knows how far it is grown"


def test_at_the_start_of_the_fade_in_the_picture_is_the_smaller_one_doubled():
    model, w = small(), None
    with torch.no_grad():
        w = model.styles(latents())
        noise = fixed_noise(6, w.device)
        less = grown(model, 1.0).generator.synthesise(w, noise)
        assert less.shape == (2, 1, 14, 14)
        barely = grown(model, 1 + 2e-7).generator.synthesise(w, noise)
        torch.testing.assert_close(barely, double(less), rtol=1e-4, atol=1e-4)
        half = grown(model, 1.5).generator.synthesise(w, noise)
        full = grown(model, 2.0).generator.synthesise(w, noise)
    torch.testing.assert_close(half, (double(less) + full) / 2, rtol=1e-4, atol=1e-4)


def test_the_discriminator_fades_in_alike():
    model, x = small(), batch(4).x
    with torch.no_grad():
        small_score = grown(model, 1.0).discriminator(halve(x))
        barely = grown(model, 1 + 2e-7).discriminator(x)
    torch.testing.assert_close(barely, small_score, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("growth", "size"), [(0.0, 7), (1.0, 14), (2.0, 28)])
def test_real_and_fake_have_the_size_of_the_moment(growth, size):
    model = small(growth=growth)
    real = model.real(batch(4))
    assert real.shape == (4, 1, size, size)
    torch.testing.assert_close(real, F.avg_pool2d(batch(4).x, 28 // size))
    fake = model.generator(model.draw(4, rng(), real.device))
    assert fake.shape == real.shape and model.discriminator(fake).shape == (4,)
    assert model.decode(latents()).shape == (2, 1, 28, 28)


def test_details_of_the_real_pictures_are_faded_in_too():
    x = batch(4).x
    torch.testing.assert_close(small(growth=1.5).real(batch(4)), (double(halve(x)) + x) / 2)


def test_mixing_crosses_over_once_within_the_layers_in_use():
    model = small()
    z = model.draw(400, rng(), torch.device("cpu")).z
    assert z.shape == (400, 6, 8)
    changes = (z[:, 1:] != z[:, :-1]).any(dim=2)  # between neighbouring layers
    assert changes.sum(dim=1).max() == 1
    assert changes.any(dim=1).float().mean().item() == pytest.approx(SMALL.mixing, abs=0.05)
    assert (changes.float().mean(dim=0) > 0.1).all(), "every crossover happens"
    coarse = grown(model, 1.0).draw(400, rng(), torch.device("cpu")).z
    assert not (coarse[:, 3:-1] != coarse[:, 4:]).any(), "only the layers of 7x7 and 14x14"


def test_styles_of_the_last_layers_leave_the_coarse_picture_alone():
    model = small()
    with torch.no_grad():
        a, b = model.styles(latents())[:, None]
        assert torch.equal(a[:, 0], a[:, 5]) and a.shape == (1, 6, 8)
        mixed = torch.cat([a[:, :4], b[:, 4:]], dim=1)
        x, y = model.synthesise(a), model.synthesise(mixed)
        assert (x - y).abs().max() > 1e-3
        grown(model, 1.0)  # the output of the layers that still share their style
        assert torch.equal(model.synthesise(a), model.synthesise(mixed))
    assert model.num_styles == 6


def test_without_truncation_left_there_is_one_picture_of_each_label():
    model = small()
    w = model.styles(latents(3))
    with torch.no_grad():
        means = model.generator.w_mean.normal_(generator=rng())
        labels = torch.tensor([2, 5, 2])
        torch.testing.assert_close(model.truncate(w, 0.0, labels)[:, 3], means[labels])
        torch.testing.assert_close(model.truncate(w, 0.0), means.mean(0).expand(3, 6, -1))
        torch.testing.assert_close(model.truncate(w, 1.0, labels), w)
        x = next(model.sample(3, labels=labels, generator=rng(), truncation=0.0, noise=0.0)).x
    torch.testing.assert_close(x[0], x[2])
    assert not torch.allclose(x[0], x[1]), "one for each label"


def test_the_seed_decides_the_picture_and_decoding_has_no_chance_in_it():
    model = small()
    one, two, three = (next(model.sample(2, generator=rng(seed))).x for seed in (4, 4, 5))
    assert torch.equal(one, two) and not torch.equal(one, three)
    quiet = next(model.sample(2, generator=rng(4), noise=0.0)).x
    assert not torch.equal(one, quiet)
    with torch.no_grad():
        assert torch.equal(model.decode(latents()), model.decode(latents()))
        assert torch.equal(model.decode(latents()), model.synthesise(model.styles(latents())))
        torch.testing.assert_close(
            model.decode(latents())[:1], model.decode(latents()[:1]), rtol=1e-4, atol=1e-5
        )
    assert not any("noise" in key for key in model.state_dict())


def test_each_labels_mean_style_is_recomputed_for_averaged_weights():
    model = small()

    def batches():
        generator = rng(3)
        return iter([batch()._replace(generator=generator) for _ in range(8)])

    model.recalibrate(batches())
    once = copy.deepcopy(model.generator.w_mean)
    with torch.no_grad():
        z = latents(20000, 9)
        for label in (0, 9):
            w = model.styles(z, torch.full((len(z),), label))[:, 0]
            torch.testing.assert_close(once[label], w.mean(0), rtol=0, atol=0.03)
    model.recalibrate(batches())
    assert torch.equal(once, model.generator.w_mean)


def test_r1_is_the_squared_slope_of_the_discriminator():
    model = small()
    penalty = model._penalty(batch(32), batch(32).x, batch(32).x, torch.zeros(32))
    model.discriminator.set_minibatch("none")
    x, digits, eps = batch(4).x, batch(4).labels, 1e-3
    with torch.no_grad():
        direction = torch.randn(x.shape, generator=rng())
        ahead, behind = (model.discriminator(x + e * direction, digits) for e in (eps, -eps))
        change = (ahead - behind) / (2 * eps)
    x.requires_grad_(True)
    (gradient,) = torch.autograd.grad(model.discriminator(x, digits).sum(), x)
    torch.testing.assert_close((gradient * direction).flatten(1).sum(1), change, rtol=0.05, atol=0.05)
    plain = model._penalty(batch(32), batch(32).x, batch(32).x, torch.zeros(32))
    weight = model.techniques.penalty_weight
    torch.testing.assert_close(
        plain, weight / 2 * gradient.square().flatten(1).sum(1).mean(), rtol=1e-3, atol=0
    )
    assert penalty.requires_grad and penalty > 0


def test_the_discriminator_sees_that_a_batch_is_all_alike():
    d = small().discriminator
    x = batch(4).x
    alike = x[:1].expand(4, -1, -1, -1)
    with torch.no_grad():
        assert (d(alike)[0] - d(x)[0]).abs() > 1e-4
        for kind in ("none", "discrimination"):
            d.set_minibatch(kind)
            assert d(x).shape == (4,)
        d.set_minibatch("none")
        torch.testing.assert_close(d(alike)[0], d(x)[0], rtol=1e-4, atol=1e-5)


def test_metrics_and_gradients_at_every_stage():
    model = StyleGAN(SMALL).train()
    optimizers = model.make_optimizers(HP)
    reached = set()
    for progress in (0.0, 0.1, 0.2, 0.34, 1.0):
        metrics = model.train_step(batch(progress=progress), optimizers)
        assert {"loss_d", "loss_g", "d_real", "d_fake", "penalty", "grad_d", "grad_g"} <= set(metrics)
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
        reached |= {name for name, p in model.named_parameters() if p.grad is not None}
    assert reached == {name for name, _ in model.named_parameters()}


def test_the_weights_are_small():
    assert sum(p.numel() for p in SPECS[0].build(0).parameters()) * 4 < 10 * 2**20
