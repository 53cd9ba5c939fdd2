"""Denoising diffusion GAN: its schedule, posterior and jumps, and what each player learns from."""

import dataclasses
import math

import pytest
import torch
from diffusers import DDPMScheduler

from playground import data
from playground.models.ddgan import DDGAN, SPECS, DDGANConfig
from playground.nn import UNetConfig
from playground.spec import Batch

SPEC = SPECS[0]
SMALL = DDGANConfig(
    unet=UNetConfig(widths=(8, 8, 16), blocks=(0, 1, 1), embedding=16, extra=8),
    discriminator_widths=(8, 8, 16), latent_dim=6,
)  # fmt: skip


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def small(seed=0, **changes):
    """A tiny model none of whose weights is zero, so that every input matters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DDGAN(dataclasses.replace(SMALL, **changes))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def batch(step=0, num=8):
    images = data.load("mnist", "train")
    return Batch(data.to_float(images.images[:num]), images.labels[:num], rng(step), 0.0, step)


def noise(num=3, seed=0, size=28):
    return torch.randn(num, 1, size, size, generator=rng(seed))


@pytest.mark.parametrize("num_steps", [1, 2, 4, 8])
def test_every_number_of_steps_sees_the_same_process_at_its_own_levels(num_steps):
    """The data's share of the variance decays at the rate beta(time), from 0.1 to 20 over time 0 to 1."""
    a = small(num_steps=num_steps).alphas_cumprod
    time = torch.linspace(0, 1, 100_001, dtype=torch.float64)
    decayed = torch.exp(-torch.cumulative_trapezoid(0.1 + 19.9 * time, time))
    every = 100_000 // num_steps
    assert len(a) == num_steps + 1 and a[0] == 1 and a[-1] < 1e-4
    torch.testing.assert_close(a[1:].double(), decayed[every - 1 :: every], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("t", [1, 2, 3, 4])
def test_the_posterior_is_diffusers(t):
    """DDPMScheduler given our betas takes the same step, mean and spread."""
    model = small()
    a = model.alphas_cumprod.double()
    scheduler = DDPMScheduler(
        4, trained_betas=(1 - a[1:] / a[:-1]).numpy(), prediction_type="sample", clip_sample=False,
        variance_type="fixed_small",
    )  # fmt: skip
    scheduler.set_timesteps(4)
    x0, xt = noise(seed=1), noise(seed=2)
    theirs = scheduler.step(x0, t - 1, xt, generator=rng(5)).prev_sample
    eps = torch.randn(xt.shape, generator=rng(5)) if t > 1 else torch.zeros_like(xt)
    ours = model.posterior(x0, xt, torch.full((3,), t), eps)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)  # it keeps its betas in float32


def test_the_posterior_of_the_truth_restores_the_forward_process():
    """If x0_hat is the x_0 that x_t was made of, x_{t-1} has the moments of q(x_{t-1} | x_0)."""
    model, num = small(), 60_000
    x0 = torch.full((num, 1, 1, 1), 0.7)
    for step in (2, 3, 4):
        t = torch.full((num,), step)
        eps = torch.randn(2, num, 1, 1, 1, generator=rng(step))
        previous = model.posterior(x0, model.add_noise(x0, eps[0], t), t, eps[1])
        a = model.alphas_cumprod[step - 1]
        assert previous.mean().item() == pytest.approx(float(a.sqrt() * 0.7), abs=0.02)
        assert previous.std().item() == pytest.approx(float((1 - a).sqrt()), abs=0.02)


@pytest.mark.parametrize("num", [1, 2, 8])
def test_the_number_of_jumps_is_a_switch_of_the_training(num):
    model = small()
    model.tune({"jumps": num, "lr_d": 0.5})
    assert model.num_timesteps == num + 1 and model.techniques.lr_d == 0.5
    torch.testing.assert_close(model.alphas_cumprod, small(num_steps=num).alphas_cumprod)
    losses = model.train_step(batch(), model.make_optimizers(SPEC.recipe))
    assert all(math.isfinite(value) for value in losses.values())
    steps = list(model.sample(2, generator=rng()))
    assert [(s.step, s.num_steps, s.nfe) for s in steps] == [(i, num, i) for i in range(1, num + 1)]
    (switch,) = (s for s in SPEC.switches if s.key == "jumps")
    assert not switch.live and switch.default == SMALL.num_steps == SPEC.config.num_steps


def test_the_last_jump_lands_on_what_the_generator_drew():
    model, x0, xt = small(), noise(seed=1), noise(seed=2)
    torch.testing.assert_close(model.posterior(x0, xt, torch.ones(3, dtype=torch.long), noise(seed=3)), x0)


def test_level_zero_is_the_picture_and_the_last_level_is_noise():
    model, x0, eps = small(), batch(num=3).x, noise()
    assert model.num_timesteps == 5
    assert torch.equal(model.add_noise(x0, eps, torch.zeros(3, dtype=torch.long)), x0)
    assert (model.add_noise(x0, eps, torch.full((3,), 4)) - eps).abs().max() < 0.02


def test_another_z_is_another_picture_from_the_same_noise_and_the_same_z_is_the_same():
    model, xt, z = small().eval(), noise(), torch.randn(3, 6, generator=rng(1))
    t, labels = torch.full((3,), 3), torch.tensor([1, 2, 3])
    with torch.no_grad():
        one, same, other = (model.jump(xt, t, z, labels) for z in (z, z, -z))
        unlabelled = model.jump(xt, t, z)
    assert torch.equal(one, same) and not torch.allclose(one, other, atol=1e-3)
    drawn = model.draw_x0(xt[:1].expand(6, -1, -1, -1), 3, generator=rng(2))
    assert drawn.std(0).max() > 1e-3
    assert torch.equal(drawn, model.draw_x0(xt[:1].expand(6, -1, -1, -1), 3, generator=rng(2)))
    assert not torch.allclose(one, unlabelled, atol=1e-4) and one.abs().max() <= 1


@pytest.mark.parametrize("num_steps", [1, 2, 4, 8])
def test_sampling_takes_one_evaluation_a_jump(num_steps):
    model = small(num_steps=num_steps).eval()
    moments = list(model.sample(2, generator=rng()))
    assert [m.nfe for m in moments] == [m.step for m in moments] == list(range(1, num_steps + 1))
    assert {m.num_steps for m in moments} == {num_steps}


def test_denoising_passes_every_level_by_the_posterior_and_ends_where_sampling_does():
    model, labels = small().eval(), torch.tensor([4, 7])
    steps = list(model.denoise(noise(2), labels=labels, generator=rng(3)))
    assert [step.t for step in steps] == [4, 3, 2, 1]
    for step in steps:
        a = model.alphas_cumprod[step.t]
        torch.testing.assert_close(a.sqrt() * step.x0_hat + (1 - a).sqrt() * step.eps_hat, step.xt)
    source = rng(8)
    start = torch.randn(2, 1, 28, 28, generator=source)
    *_, last = model.denoise(start, labels=labels, generator=source)
    *_, drawn = model.sample(2, labels=labels, generator=rng(8))
    torch.testing.assert_close(last.x0_hat, drawn.x)


def test_the_discriminator_is_told_level_label_and_the_noisier_picture():
    model, t, labels = small(), torch.tensor([1, 2]), torch.tensor([3, 10])
    x, xt = noise(2), noise(2, 1)
    score = model.discriminator(x, xt, t, labels)
    assert score.shape == (2,)
    for other in ((x, xt, t + 1, labels), (x, xt, t, labels - 1), (x, -xt, t, labels), (-x, xt, t, labels)):
        assert not torch.allclose(score, model.discriminator(*other))


def test_an_update_shows_every_level_and_hides_some_labels():
    model, seen = small().train(), []
    model.discriminator.register_forward_hook(lambda _, inputs, __: seen.append(inputs))
    optimizers = model.make_optimizers(SPEC.recipe)
    for step in range(8):
        model.train_step(batch(step, num=16), optimizers)
    for _, _, t, labels in seen:
        assert torch.bincount(t, minlength=5).tolist() == [0, 4, 4, 4, 4]
        assert labels.max() <= 10
    hidden = torch.cat([labels for *_, labels in seen]) == 10
    assert 0.05 < hidden.float().mean() < 0.35


def test_the_penalty_comes_every_few_updates_and_only_when_it_weighs_something():
    model = small(penalty_every=3).train()
    optimizers = model.make_optimizers(SPEC.recipe)
    told = [model.train_step(batch(step), optimizers) for step in range(7)]
    assert ["penalty" in metrics for metrics in told] == [True, False, False, True, False, False, True]
    assert {"loss_d", "loss_g", "d_real", "d_fake", "grad_d", "grad_g"} <= told[1].keys()
    model.tune({"penalty_weight": 0.0})
    assert "penalty" not in model.train_step(batch(9), optimizers)


@pytest.mark.parametrize(
    ("player", "networks"), [("generator", {"denoiser", "mapping"}), ("discriminator", {"discriminator"})]
)
def test_who_is_frozen_stays_as_it_is(player, networks):
    model = small().train()
    model.tune({"players": player})
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.train_step(batch(), model.make_optimizers(SPEC.recipe))
    moved = {
        key.split(".")[0] for key, value in model.state_dict().items() if not torch.equal(before[key], value)
    }
    assert moved == networks


def test_real_pictures_with_a_wrong_digit_are_shown_too():
    model, seen = small(label_dropout=0.5).train(), []
    model.discriminator.register_forward_hook(lambda _, inputs, __: seen.append(inputs))
    optimizers = model.make_optimizers(SPEC.recipe)
    model.tune({"players": "discriminator"})
    model.train_step(batch(num=16), optimizers)
    (real, *_, labels), (_, *_, same), (again, *_, wrong) = seen
    hidden = labels == 10
    assert torch.equal(real, again) and torch.equal(labels, same) and 0 < hidden.sum() < 16
    assert (wrong[hidden] == 10).all() and (wrong[~hidden] < 10).all()
    assert (wrong[~hidden] != labels[~hidden]).all()


def test_the_schedule_is_no_weight():
    assert not [key for key in small().state_dict() if "alphas" in key]
