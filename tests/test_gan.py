"""The game all GANs share: its losses, its penalties, its switches, its minibatch layers, its turns."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from playground import data, registry, validation
from playground.models import _gan, _gan_networks
from playground.models._gan_switches import LOSSES, PENALTIES
from playground.models.cgan import CGAN, CGANConfig
from playground.models.dcgan import DCGAN, DCGANConfig
from playground.models.gan import GAN, GANConfig
from playground.spec import Batch, Recipe
from playground.training import Training

SHAPE = {"latent_dim": 8, "generator_widths": (16, 12, 8), "discriminator_widths": (8, 12, 16)}
HP = Recipe(num_steps=10, batch_size=16, lr=4e-4)
PLAIN = ("gan", "cgan", "dcgan", "wgan", "wgan_gp", "sngan")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def small(model=DCGAN, config=DCGANConfig, seed=0, **techniques):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = model(config(**SHAPE)).train()
        made.tune(techniques)
    return made


def batch(num=16, seed=0, step=0, progress=0.0):
    images = data.load("mnist", "train")
    x = data.to_float(images.images[:num])
    return Batch(x, images.labels[:num], rng(seed), progress, step)


def moved(model, optimizers, **where):
    """Which players an update changes."""
    before = {name: [p.detach().clone() for p in getattr(model, name).parameters()] for name in optimizers}
    model.train_step(batch(**where), optimizers)
    pairs = {n: zip(before[n], getattr(model, n).parameters(), strict=True) for n in before}
    return {name for name in pairs if any(not torch.equal(a, b) for a, b in pairs[name])}


def test_losses_are_those_of_the_papers():
    real, fake = torch.randn(64, generator=rng()) + 1, torch.randn(64, generator=rng(1)) - 1
    d_real, d_fake = real.sigmoid(), fake.sigmoid()
    cross_entropy = -(d_real.log() + (1 - d_fake).log()).mean()
    expected = {
        "non-saturating": (cross_entropy, -d_fake.log().mean()),
        "saturating": (cross_entropy, (1 - d_fake).log().mean()),
        "wasserstein": (fake.mean() - real.mean(), -fake.mean()),
        "hinge": ((1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean(), -fake.mean()),
        "least-squares": (((real - 1) ** 2 + fake**2).mean() / 2, ((fake - 1) ** 2).mean() / 2),
    }
    assert set(expected) == set(LOSSES)
    for kind, (loss_d, loss_g) in expected.items():
        torch.testing.assert_close(_gan.discriminator_loss(kind, real, fake), loss_d)
        torch.testing.assert_close(_gan.generator_loss(kind, fake), loss_g)


def test_a_saturated_game_gives_no_gradient_and_the_non_saturating_one_does():
    """Where D is sure of a fake, log(1 - D) is flat (1406.2661, section 3)."""
    slopes = {}
    for kind in ("saturating", "non-saturating"):
        logit = torch.full((4,), -12.0, requires_grad=True)
        _gan.generator_loss(kind, logit).backward()
        slopes[kind] = logit.grad.abs().sum().item()
    assert slopes["saturating"] < 1e-4 and slopes["non-saturating"] > 0.99


def test_label_smoothing_moves_the_best_answer_to_the_label():
    logits = torch.linspace(-4, 4, 801)
    fake = -torch.ones(1)
    losses = [_gan.discriminator_loss("non-saturating", logit[None], fake, 0.9) for logit in logits]
    assert logits[torch.stack(losses).argmin()].sigmoid().item() == pytest.approx(0.9, abs=0.005)


def test_slope_is_the_gradient_of_each_picture():
    weight = torch.randn(3, 4, 4, generator=rng())
    x = torch.randn(5, 3, 4, 4, generator=rng(1), requires_grad=True)
    found = _gan.slope((x * weight).sum(dim=(1, 2, 3)), x)
    torch.testing.assert_close(found, weight.norm().expand(5))


@pytest.mark.parametrize("penalty", ["gradient penalty", "R1"])
def test_penalties_are_those_of_a_linear_critic(penalty):
    """For f(x) = w . x the penalty is lambda (|w| - 1)^2, and R1 gamma / 2 |w|^2."""
    model = small(penalty=penalty, penalty_weight=4.0)
    weight = torch.randn(784, generator=rng())
    critic = nn.Sequential(nn.Flatten(), nn.Linear(784, 1, bias=False), nn.Flatten(0))
    with torch.no_grad():
        critic[1].weight.copy_(weight)
    model.discriminator = Labelled(critic)
    real, fake = batch().x.requires_grad_(True), torch.randn(16, 1, 28, 28, generator=rng(2))
    found = model._penalty(batch(), real, fake, model.discriminator(real, None))
    norm = weight.norm()
    torch.testing.assert_close(found, 4 * (norm - 1) ** 2 if penalty == "gradient penalty" else 2 * norm**2)


class Labelled(nn.Module):
    """A network that takes labels and ignores them."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, labels):
        return self.network(x)


def test_clipping_bounds_every_weight_of_the_critic_alone():
    model = small(penalty="weight clipping", clip=0.005)
    model.train_step(batch(), model.make_optimizers(HP))
    assert max(p.abs().max().item() for p in model.discriminator.parameters()) <= 0.005
    assert max(p.abs().max().item() for p in model.generator.parameters()) > 0.005


def test_spectral_norm_bounds_every_layer():
    model = small(spectral_norm=True)
    optimizers = model.make_optimizers(HP)
    for step in range(30):
        model.train_step(batch(seed=step), optimizers)
    layers = [m for m in model.discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert layers and all(is_parametrized(layer, "weight") for layer in layers)
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.1)
    assert not any(is_parametrized(m) for m in model.generator.modules())


BOTH = ("generator", "discriminator")
TURNS = [("both", set(BOTH)), *((player, {player}) for player in BOTH)]


@pytest.mark.parametrize(("players", "expected"), TURNS)
def test_only_the_players_chosen_learn(players, expected):
    model = small(players=players)
    assert moved(model, model.make_optimizers(HP)) == expected


def test_the_generator_waits_for_the_discriminators_steps():
    model = small(d_steps=3)
    optimizers = model.make_optimizers(HP)
    turns = ["generator" in moved(model, optimizers, step=step) for step in range(6)]
    assert turns == [True, False, False, True, False, False]
    assert "loss_g" in model.train_step(batch(step=3), optimizers)
    assert "loss_g" not in model.train_step(batch(step=4), optimizers)


def test_learning_rates_and_betas_are_each_players_own():
    model = small(lr_g=0.5, lr_d=2.0, beta1=0.3, beta2=0.9)
    groups = {name: o.param_groups[0] for name, o in model.make_optimizers(HP).items()}
    assert groups["generator"]["lr"] == HP.lr / 2 and groups["discriminator"]["lr"] == HP.lr * 2
    assert groups["generator"]["betas"] == (0.3, 0.9)


def test_instance_noise_falls_to_nothing():
    model = small(instance_noise=0.4)
    x = torch.zeros(64, 1, 28, 28)
    for progress in (0.0, 0.5):
        deviation = model._noise(batch(progress=progress))(x).std().item()
        assert deviation == pytest.approx(0.4 * (1 - progress), rel=0.02)
    assert torch.equal(model._noise(batch(progress=1.0))(x), x)


@pytest.mark.parametrize("kind", ["stddev", "discrimination"])
def test_minibatch_layers_notice_a_batch_that_repeats(kind):
    layer = _gan_networks.minibatch_layer(kind, 10)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, generator=rng())
    varied = torch.randn(8, 10, generator=rng(1))
    repeated = varied[:1].expand(8, -1)
    assert layer(varied).shape == (8,)
    assert (layer(varied) - layer(repeated)).abs().max() > 1e-3
    assert torch.allclose(layer(repeated), layer(repeated)[0].expand(8))


def test_minibatch_stddev_is_the_papers():
    layer = _gan_networks.MinibatchStdDev()
    nn.init.ones_(layer.weight)
    h = torch.randn(6, 5, generator=rng())
    torch.testing.assert_close(layer(h), h.std(dim=0, unbiased=False).mean().expand(6))


def test_minibatch_discrimination_is_the_papers():
    layer = _gan_networks.MinibatchDiscrimination(5, num_kernels=3, size=2)
    h = torch.randn(4, 5, generator=rng())
    m = layer.project(h).view(4, 3, 2)
    expected = torch.zeros(4, 3)
    for i in range(4):
        for j in range(4):
            if i != j:
                expected[i] += (-(m[i] - m[j]).abs().sum(dim=1)).exp()
    torch.testing.assert_close(layer(h), (expected / 3 @ layer.out.weight.T).flatten())
    assert layer(h).abs().max() < 0.01  # what is trained begins as without it


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_every_loss_goes_with_every_penalty(loss, penalty):
    model = small(GAN, lambda **kw: GANConfig(8, 28, (16,), (16,)), loss=loss, penalty=penalty)
    metrics = model.train_step(batch(), model.make_optimizers(HP))
    assert all(math.isfinite(value) for value in metrics.values())
    assert ("wasserstein" in metrics) == (loss == "wasserstein")
    assert ("d_real" in metrics) == (loss not in ("wasserstein", "hinge"))


def test_the_conditional_discriminator_rejects_a_wrong_label():
    """With a generator that stands still, D comes to prefer the right label of a real picture."""
    model = small(CGAN, CGANConfig, players="discriminator")
    optimizers = model.make_optimizers(Recipe(10, lr=3e-3))
    x, labels = batch(128).x, batch(128).labels
    for step in range(80):
        model.train_step(batch(128, seed=step), optimizers)
    right, wrong = model.discriminator(x, labels), model.discriminator(x, (labels + 1) % 10)
    assert (right > wrong).float().mean() > 0.9


def test_a_label_changes_the_conditional_picture():
    model = small(CGAN, CGANConfig)  # training: batch norm brings out small differences
    z = torch.randn(1, 8, generator=rng()).expand(2, -1)
    one, two = model.decode(z, torch.tensor([3, 7]))
    assert (one - two).abs().max() > 1e-3
    planes = _gan_networks.one_hot(torch.tensor([2]), 1, 10, z)
    assert torch.equal(planes, F.one_hot(torch.tensor([2]), 10).float())


@pytest.mark.parametrize("name", PLAIN)
def test_every_switch_that_is_live_can_be_turned_while_it_trains(name):
    spec = registry.spec(name)
    run = Training(spec, data.load("mnist", "train"), HP)
    other = {
        switch.key: switch.choices[-1] if switch.choices else switch.maximum
        for switch in spec.switches
        if switch.live and switch.kind != "bool"
    }
    run.update()
    for key, value in other.items():
        run.tune({key: value})
        assert run.switches[key] == value
    assert all(math.isfinite(value) for value in run.update()[0].values())
    assert [step for step, _ in run.changes] == [1] * len(other)


def test_learning_rates_turned_while_it_trains_reach_the_optimisers():
    run = Training(registry.spec("dcgan"), data.load("mnist", "train"), replace(HP, decay="none"))
    run.update()
    run.tune({"lr": 1e-3, "lr_d": 3.0, "beta1": 0.2})
    run.update()
    group = run.optimizers["discriminator"].param_groups[0]
    assert group["lr"] == pytest.approx(3e-3) and group["betas"][0] == 0.2
    assert run.recipe.lr == 1e-3 and run.switches["lr"] == 1e-3
    moments = run.optimizers["discriminator"].state[group["params"][0]]
    assert moments["step"].item() == 2  # it went on with what it knew


def test_switches_are_checked():
    spec = registry.spec("dcgan")
    assert validation.switches(spec, HP, {"loss": "hinge", "lr_d": 2}) == {"loss": "hinge", "lr_d": 2.0}
    for values, key in [
        ({"loss": "best"}, "errors.choice"),
        ({"lr_d": 11}, "errors.number"),
        ({"d_steps": 1.5}, "errors.integer"),
        ({"beta": 1}, "errors.choice"),
        ([1], "errors.switches"),
    ]:
        with pytest.raises(validation.InvalidInput) as refusal:
            validation.switches(spec, HP, values)
        assert refusal.value.key == key, values
    with pytest.raises(validation.InvalidInput, match="before the training"):
        validation.switches(spec, HP, {"spectral_norm": True}, running=True)


@pytest.mark.parametrize("name", PLAIN)
def test_the_layers_that_switches_add_are_trained_too(name):
    spec = registry.spec(name)
    asked = {"spectral_norm": True, "minibatch": "discrimination"}
    run = Training(spec, data.load("mnist", "train"), HP, switches=asked)
    again = Training(spec, data.load("mnist", "train"), HP, switches=asked)
    for key, value in run.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[key]), key
    trained = {id(p) for o in run.optimizers.values() for g in o.param_groups for p in g["params"]}
    assert trained == {id(p) for p in run.model.parameters()}
    before = run.model.discriminator.minibatch.out.weight.detach().clone()
    run.update()
    assert not torch.equal(before, run.model.discriminator.minibatch.out.weight)


def test_networks_of_the_first_gan_are_those_it_is_taught_with():
    sizes = [tuple(m.weight.shape) for m in registry.build("gan").modules() if isinstance(m, nn.Linear)]
    assert sizes == [
        (256, 100), (512, 256), (1024, 512), (784, 1024), (1024, 784), (512, 1024), (256, 512), (1, 256),
    ]  # fmt: skip
