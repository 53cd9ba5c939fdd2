"""pix2pix: the U-Net, its noise, the conditional discriminator and the two losses."""

import dataclasses

import pytest
import torch

from playground import registry
from playground.spec import Batch

SPEC = registry.spec("pix2pix_styles")
SMALL = dataclasses.replace(SPEC.config, widths=(4, 8, 8, 8, 8, 8), d_width=4)


def small(**changes):
    """A small pix2pix in training."""
    torch.manual_seed(0)
    return SPEC.model(dataclasses.replace(SMALL, **changes)).train()


def batch(num: int = 4, label: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(num, 6, 64, 64, generator=generator) * 2 - 1
    return Batch(x, torch.full((num,), label), generator, 0.0)


def test_the_unet_goes_down_to_one_pixel_and_sees_everything():
    model = small().eval()
    x = torch.rand(1, 3, 64, 64, requires_grad=True)
    y = model.generator(x)
    assert y.shape == (1, 3, 64, 64) and y.abs().max() <= 1
    (seen,) = torch.autograd.grad(y[0, :, 0, 0].sum(), x)
    assert (seen[0].abs().sum(0) > 0).float().mean() > 0.99


def test_skips_carry_detail_past_the_bottleneck():
    """With the deepest layer cut off, a picture still gives another one than a second picture does."""
    model = small().eval()
    with torch.no_grad():
        model.generator.ups[0].weight.zero_()
        one, other = (model.generator(torch.rand(1, 3, 64, 64)) for _ in range(2))
    assert (one - other).abs().mean() > 1e-3


def test_noise_is_dropout_and_its_generator_decides_it():
    model, x = small().eval(), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        plain = model.translate(x, "ab")
        draws = [model.translate(x, "ab", torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(plain, model.translate(x, "ab"))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    model.tune({"dropout": 0.0})
    torch.testing.assert_close(model.translate(x, "ab", torch.Generator()), plain)


def test_it_goes_one_way_only():
    with pytest.raises(ValueError, match="direction ab; got 'ba'"):
        small().translate(torch.zeros(1, 3, 64, 64), "ba")


def test_the_discriminator_looks_at_both_pictures():
    model, x = small().eval(), torch.rand(1, 6, 64, 64)
    a, b = model.split(x)
    with torch.no_grad():
        first = model.judge_patches(a, b, "ab")
        assert first.shape == (1, 1, 6, 6) and 0 <= first.min() and first.max() <= 1
        assert not torch.equal(first, model.judge_patches(a.flip(-1), b, "ab"))
        assert not torch.equal(first, model.judge_patches(a, b.flip(-1), "ab"))
    assert model.receptive_field() == 70


def test_pairs_are_moved_and_mirrored_together_but_never_flags():
    model, step = small(not_mirrored=(8,)), batch(64)
    same = step._replace(x=torch.cat([step.x[:, :3], step.x[:, :3]], dim=1))
    moved = model._jittered(same)
    assert torch.equal(*model.split(moved)) and moved.shape == same.x.shape and not torch.equal(moved, same.x)
    columns = torch.arange(64.0).expand(64, 6, 64, 64)
    for label, mirrors in ((0, True), (8, False)):
        found = model._jittered(batch(64, label)._replace(x=columns))
        assert bool((found[:, 0, 0, 63] < found[:, 0, 0, 0]).any()) == mirrors


def test_the_losses_are_those_of_the_paper():
    model, step = small(dropout=0.0, jitter=0, not_mirrored=(0,)), batch()
    with torch.no_grad():
        a, b = model.split(step.x)
        fake = model.generator(a)
        real_score, fake_score = (model.discriminator(torch.cat([a, y], 1)) for y in (b, fake))
        loss_d = -0.5 * (real_score.sigmoid().log().mean() + (1 - fake_score.sigmoid()).log().mean())
    found = model.train_step(step, model.make_optimizers(SPEC.recipe))
    assert found["l1"] == pytest.approx((fake - b).abs().mean().item(), rel=1e-4)
    assert found["loss_d"] == pytest.approx(loss_d.item(), rel=1e-3)
    assert all(p.requires_grad for p in model.parameters())


def test_ten_updates_come_closer():
    model, step = small(jitter=0, not_mirrored=(0,)), batch()
    optimizers = model.make_optimizers(dataclasses.replace(SPEC.recipe, lr=2e-3))
    losses = [model.train_step(step, optimizers)["l1"] for _ in range(10)]
    assert losses[-1] < losses[0]
