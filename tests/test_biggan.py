"""BigGAN: conditional norms, chunks of z, projection, attention, spectral norm, eq. 3, truncation."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from playground import data
from playground.models._biggan_networks import (
    BigGANConfig,
    ConditionalBatchNorm,
    DownBlock,
    SelfAttention,
    UpBlock,
    leaky,
    overlap,
)
from playground.models._resample import conv_halve, double, double_conv, halve
from playground.models.biggan import SPECS, BigGAN, truncated_normal
from playground.spec import Batch, Recipe

SMALL = BigGANConfig(
    latent_dim=12, embedding=6, generator_widths=(16, 16, 8), discriminator_widths=(8, 16, 16)
)
HP = Recipe(num_steps=10, batch_size=8, lr=1e-3)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def small(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BigGAN(SMALL).train()


def batch(num=8, step=0):
    images = data.load("mnist", "train")
    return Batch(data.to_float(images.images[:num]), images.labels[:num], rng(step), 0.0, step)


def trained(steps=3):
    model = small()
    optimizers = model.make_optimizers(HP)
    for step in range(steps):
        model.train_step(batch(step=step), optimizers)
    return model


@pytest.mark.parametrize("smooth", [False, True])
def test_resampling_within_the_convolution_is_resampling_beside_it(smooth):
    x, weight = torch.randn(2, 3, 8, 8, generator=rng()), torch.randn(4, 3, 3, 3, generator=rng(1))
    bias = torch.randn(4, generator=rng(2))

    def blurred(h):
        row = torch.tensor([0.25, 0.5, 0.25])
        kernel = (row[:, None] * row).expand(h.shape[1], 1, 3, 3)
        return F.conv2d(h, kernel, padding=1, groups=h.shape[1]) if smooth else h

    edge = 3 if smooth else 0  # what the blur sees beyond the border differs
    inner = (..., slice(edge, -edge or None), slice(edge, -edge or None))
    up = F.conv2d(blurred(double(x)), weight, bias, padding=1)
    torch.testing.assert_close(
        double_conv(x, weight, bias, smooth=smooth)[inner], up[inner], rtol=1e-4, atol=1e-4
    )
    down = halve(F.conv2d(blurred(x), weight, bias, padding=1))
    found = conv_halve(x, weight, bias, smooth=smooth)
    assert found.shape == down.shape
    inner = (..., slice(1, -1), slice(1, -1)) if smooth else ...
    torch.testing.assert_close(found[inner], down[inner], rtol=1e-4, atol=1e-4)


def test_conditional_batch_norm_gives_every_condition_its_own_scale_and_shift():
    norm = ConditionalBatchNorm(3, 2).train()
    condition = torch.tensor([[1.0, 0.0]] * 32 + [[0.0, 1.0]] * 32)
    with torch.no_grad():
        x = torch.randn(64, 3, 5, 5, generator=rng())
        y = norm(x, condition)
        scale, shift = norm.modulation.weight.T[:, :3], norm.modulation.weight.T[:, 3:]
    plain = F.batch_norm(x, None, None, training=True)
    torch.testing.assert_close(y[:32], (1 + scale[0])[:, None, None] * plain[:32] + shift[0][:, None, None])
    torch.testing.assert_close(y[32:], (1 + scale[1])[:, None, None] * plain[32:] + shift[1][:, None, None])


def test_labels_and_every_chunk_of_z_change_the_picture():
    model = small().eval()
    z, labels = torch.randn(2, 12, generator=rng()), torch.tensor([3, 3])
    with torch.no_grad():
        x = model.decode(z, labels)
        assert (model.decode(z, labels + 1) - x).abs().max() > 1e-3
        for first in (0, 4, 8):
            other = z.clone()
            other[:, first : first + 4] *= -1
            assert (model.decode(other, labels) - x).abs().max() > 1e-3


def test_the_input_layer_sees_the_first_chunk_only():
    model = small()
    model.generator.eval()
    z = torch.randn(1, 12, generator=rng(), requires_grad=True)
    seen = []
    model.generator.project.register_forward_hook(lambda module, args, out: seen.append(out))
    model.generator(z, torch.tensor([1]))
    (gradient,) = torch.autograd.grad(seen[0].sum(), z)
    assert gradient[:, :4].abs().min() > 0 and gradient[:, 4:].abs().max() == 0


def test_no_label_is_the_mean_of_all():
    model = small().eval()
    z = torch.randn(2, 12, generator=rng())
    with torch.no_grad():
        drawn = model.decode(z)
        model.generator.embed.weight.copy_(model.generator.embed.weight.mean(0).expand(10, -1))
        torch.testing.assert_close(drawn, model.decode(z, torch.tensor([4, 7])))


def test_the_projection_is_linear_in_the_labels_embedding():
    d = small().discriminator.eval()
    x = batch(2).x
    with torch.no_grad():
        phi = leaky(d.body(x)).sum(dim=(2, 3))
        gap = d(x, torch.tensor([2, 2])) - d(x, torch.tensor([5, 5]))
        torch.testing.assert_close(gap, phi @ (d.embed.weight[2] - d.embed.weight[5]))


def test_attention_starts_as_the_identity_and_then_sees_far():
    attention = SelfAttention(16)
    x = torch.randn(1, 16, 8, 8, generator=rng())
    assert torch.equal(attention(x), x)
    nn.init.ones_(attention.gamma)
    other = x.clone()
    other[..., 7, 7] += 3
    assert (attention(other) - attention(x))[..., 0, 0].abs().max() > 1e-6


def test_blocks_resample():
    x, condition = torch.randn(2, 8, 7, 7), torch.randn(2, 5)
    assert UpBlock(8, 4, 5)(x, condition).shape == (2, 4, 14, 14)
    assert DownBlock(8, 4)(torch.randn(2, 8, 14, 14)).shape == (2, 4, 7, 7)
    assert DownBlock(8, 4, down=False)(x).shape == (2, 4, 7, 7)


def test_every_layer_has_spectral_norm_one_after_some_updates():
    model = trained(12).train()
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)]
    plain = [m for m in layers if not is_parametrized(m)]
    assert plain == [model.generator.embed]
    with torch.no_grad():
        for layer in layers:
            if layer is not model.generator.embed:
                for _ in range(10):  # one power iteration an update lags behind; each look is one more
                    weight = layer.weight
                sigma = torch.linalg.matrix_norm(weight.flatten(1), 2)
                assert sigma == pytest.approx(1, abs=0.1)


def test_overlap_is_zero_for_orthogonal_filters_of_any_length():
    q = torch.linalg.qr(torch.randn(6, 6, generator=rng()))[0]
    lengths = torch.arange(1.0, 5.0)[:, None]
    assert overlap((lengths * q[:4]).view(4, 3, 2, 1)) == pytest.approx(0, abs=1e-8)
    assert overlap(q[:, :4] * lengths.T) == pytest.approx(0, abs=1e-8)
    assert overlap(torch.ones(2, 3)) == pytest.approx(2 * 3**2)


def test_the_regulariser_pulls_filters_apart():
    model = small()
    with torch.no_grad():
        for parameter in model.generator.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=rng()))
    weights = [p for p in model.generator.parameters() if p.requires_grad]
    before = model.regulariser()
    assert before > 0
    gradients = torch.autograd.grad(before, weights, allow_unused=True)
    embedding = [p is model.generator.embed.weight for p in weights].index(True)
    assert gradients[embedding] is None, "the shared embedding is left alone"
    with torch.no_grad():
        for weight, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:
                weight.sub_(10 * gradient)
    assert model.regulariser() < before


def test_the_truncated_normal_redraws_the_extremes_only():
    whole, cut = truncated_normal((500, 12), 9.0, rng()), truncated_normal((500, 12), 0.7, rng())
    assert torch.equal(whole, torch.randn(500, 12, generator=rng()))
    inside = whole.abs() <= 0.7
    assert torch.equal(cut[inside], whole[inside]) and cut.abs().max() <= 0.7
    assert cut.std() == pytest.approx(0.392, abs=0.02)  # of a normal cut at 0.7, uniform would be 0.404


def test_truncation_makes_pictures_alike_and_the_seed_decides():
    model = small().eval()
    labels = torch.full((8,), 3)
    spread = {}
    for truncation in (0.1, 2.0):
        x = next(model.sample(8, labels=labels, generator=rng(5), truncation=truncation)).x
        assert torch.equal(x, next(model.sample(8, labels=labels, generator=rng(5), truncation=truncation)).x)
        spread[truncation] = x.std(dim=0).mean().item()
    assert spread[0.1] < 0.3 * spread[2.0]


@pytest.mark.parametrize("training", [False, True])
def test_the_average_is_recalibrated_to_the_same_bits_every_time(training):
    model = trained()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1).add_(0.05 * torch.randn(parameter.shape, generator=rng()))
    model.train(training)

    def batches():
        generator = rng(3)
        return iter([batch(step=step)._replace(generator=generator) for step in range(4)])

    model.recalibrate(batches())
    once = copy.deepcopy(model.state_dict())
    model.recalibrate(batches())
    assert all(torch.equal(once[key], value) for key, value in model.state_dict().items())
    assert all(module.training == training for module in model.modules())
    sigma = torch.linalg.matrix_norm(model.eval().generator.project.weight, 2)
    assert sigma.item() == pytest.approx(1, abs=1e-4)


def test_metrics_and_gradients():
    model = small()
    metrics = model.train_step(batch(), model.make_optimizers(HP))
    assert {"loss_d", "loss_g", "score_real", "score_fake", "grad_d", "grad_g"} <= set(metrics)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_the_shipped_shape_is_that_of_the_docstring():
    model = SPECS[0].build(0)
    assert sum(p.numel() for p in model.parameters()) * 4 < 10 * 2**20
    assert model.latent_shape == (SPECS[0].config.latent_dim,) and model.latent_shape[0] % 3 == 0
