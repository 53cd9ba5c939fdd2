"""The classifier: its augmentation, its features, its training, its batch norm under averaged weights."""

import copy

import pytest
import torch
from torch import nn

from playground import data, judge, registry, weights
from playground.models.classifier import SPECS, augment
from playground.spec import Batch, Recipe

SPEC = SPECS[0]


def batch(num=64, seed=0):
    images = data.load("mnist", "train")
    rows = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:num]
    x = data.to_float(images.images[rows])
    return Batch(x, images.labels[rows], torch.Generator().manual_seed(seed), 0.0)


def test_augment_without_strength_is_the_identity():
    x = batch().x
    y = augment(x, torch.Generator().manual_seed(0), noise=0.0, shift=0.0, angle=0.0)
    assert torch.allclose(x, y, atol=1e-4)


def test_augment_moves_and_stays_in_range():
    x = batch().x
    y = augment(x, torch.Generator().manual_seed(0), noise=0.0, shift=2.0, angle=0.0)
    columns = torch.arange(28.0)

    def centres(z):
        ink = (z + 1).sum(dim=(1, 2))
        return (ink * columns).sum(1) / ink.sum(1)

    moved = (centres(x) - centres(y)).abs()
    assert 0.5 < moved.mean() < 1.5 and moved.max() < 2.1  # uniform on [-2, 2]: 1 on average
    assert y.min() >= -1 and y.max() <= 1


def test_augment_leaves_a_third_without_noise():
    x = torch.zeros(600, 1, 28, 28)
    y = augment(x, torch.Generator().manual_seed(0), noise=0.3, shift=0.0, angle=0.0)
    std = (y - x)[:, :, 8:20, 8:20].std(dim=(1, 2, 3))
    assert 0.25 < (std < 1e-6).float().mean() < 0.42
    assert 0.25 < std.max() < 0.4


def test_same_generator_same_augmentation():
    x = batch().x
    first, second, third = (
        augment(x, torch.Generator().manual_seed(seed), noise=0.3, shift=2.0, angle=0.1) for seed in (1, 1, 2)
    )
    assert torch.equal(first, second) and not torch.equal(first, third)


def test_features_are_what_the_logits_are_read_from():
    model, x = SPEC.build(3).eval(), batch().x
    features = model.features(x)
    assert features.shape == (64, SPEC.config.num_features) and features.min() >= 0
    assert torch.allclose(model.logits(x), model.head(features), atol=1e-5)
    passes: list[int] = []
    model.trunk.register_forward_hook(lambda *_: passes.append(1))
    seen, logits = judge.seen_by(model, x)
    assert len(passes) == 1, "a judge looks once"
    assert torch.equal(seen, model.features(x)) and torch.equal(logits, model.logits(x))
    assert torch.allclose(model.features(x[:1]), features[:1], atol=1e-5)  # no picture sees its neighbours


def test_every_parameter_learns_and_the_loss_falls():
    model, one = SPEC.build(0).train(), batch()
    optimizers = model.make_optimizers(Recipe(num_steps=30, lr=2e-3))
    history = [model.train_step(one, optimizers) for _ in range(30)]
    assert set(history[0]) == {"loss", "accuracy"}
    assert history[-1]["loss"] < 0.7 * history[0]["loss"] and history[-1]["accuracy"] > history[0]["accuracy"]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_training_is_reproducible():
    def run():
        model = SPEC.build(0).train()
        optimizers = model.make_optimizers(SPEC.recipe)
        return [model.train_step(batch(32, seed), optimizers)["loss"] for seed in range(3)]

    assert run() == run()


def test_recalibrate_recomputes_batch_norm():
    model = SPEC.build(0)
    ruined = copy.deepcopy(model).eval()
    norms = [m for m in ruined.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.running_mean.fill_(7.0)
        norm.running_var.fill_(1e-4)
    ruined.recalibrate(batch(64, seed) for seed in range(4))
    assert not ruined.training and all(norm.momentum == 0.1 for norm in norms)
    x = augment(batch(64, 9).x, torch.Generator().manual_seed(9), noise=0.3, shift=1.5, angle=0.12)
    first = ruined.trunk[:1](x.contiguous(memory_format=torch.channels_last))
    assert first.mean(dim=(0, 2, 3)).abs().max() < 0.2 and (first.std(dim=(0, 2, 3)) - 1).abs().max() < 0.2


@pytest.mark.skipif(not weights.shipped("classifier"), reason="no shipped classifier")
def test_shipped_classifier_reads_digits_and_overlooks_faint_noise():
    model, images = registry.load("classifier"), data.load("mnist", "test")
    rows = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:1000]
    x, labels = data.to_float(images.images[rows]), images.labels[rows]
    faint = (x + 0.05 * torch.rand(x.shape, generator=torch.Generator().manual_seed(0))).clamp(-1, 1)
    with torch.no_grad():
        clean, noisy = model.features(x), model.features(faint)
        accuracy = (model.logits(x).argmax(1) == labels).float().mean()
    assert accuracy >= 0.99
    spread = (clean - clean.mean(0)).norm(dim=1).mean()
    assert (clean - noisy).norm(dim=1).mean() < 0.1 * spread
    assert sum(p.numel() for p in model.parameters()) * 4 < 2**20 + 2**14
