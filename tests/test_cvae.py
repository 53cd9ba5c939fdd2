"""The conditional VAE: labels reach both networks, its bounds are bounds, without one it sums over them."""

import math

import pytest
import torch

from playground import data
from playground.models.cvae import CVAE, SPECS, CVAEConfig
from playground.models.vae import VAE, bernoulli_log_prob
from playground.nn import kl_to_prior
from playground.spec import Batch, Recipe

SMALL = CVAEConfig(
    latent_dim=4, encoder_widths=(4, 8), decoder_widths=(8, 4), encoder_blocks=(0, 1), decoder_blocks=(1, 0)
)
HP = Recipe(num_steps=10, batch_size=16, lr=3e-3)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def small():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CVAE(SMALL)


def batch(num=32, seed=0, progress=1.0):
    images = data.load("mnist", "train")
    return Batch(data.to_float(images.images[:num]), images.labels[:num], rng(seed), progress)


def binary(num=8):
    return data.binarise(batch(num).x, rng()), batch(num).labels


@pytest.fixture(scope="module")
def trained():
    model = small()
    optimizers = model.make_optimizers(HP)
    for step in range(40):
        model.train_step(batch(64, step), optimizers)
    return model.eval()


def test_labels_reach_the_encoder_and_the_decoder(trained):
    x, labels = binary()
    other = (labels + 1) % 10
    with torch.no_grad():
        for mine, wrong in zip(trained.posterior(x, labels), trained.posterior(x, other), strict=True):
            assert mine.shape == (8, 4) and (mine - wrong).abs().max() > 1e-3
        z = torch.randn(8, 4, generator=rng(1))
        assert (trained.decode(z, labels) - trained.decode(z, other)).abs().max() > 1e-3


def test_a_label_is_a_one_hot_vector_beside_the_decoders_input(trained):
    """Its table of biases is a linear layer of the one-hot label (the paper's concatenation)."""
    z, labels = torch.randn(5, 4, generator=rng(2)), torch.tensor([3, 1, 4, 1, 5])
    joined = torch.cat([z, torch.nn.functional.one_hot(labels, 10).float()], dim=1)
    weight = torch.cat([trained.decoder[0].weight, trained.decoder_label.weight.T], dim=1)
    h = torch.nn.functional.linear(joined, weight, trained.decoder[0].bias)
    torch.testing.assert_close(trained.decoder[1:](h), trained.logits(z, labels), rtol=1e-4, atol=1e-5)


def test_it_shares_the_vaes_bound_and_its_networks(trained):
    x, labels = binary()
    with torch.no_grad():
        mu, logvar = trained.posterior(x, labels)
        z = mu + (0.5 * logvar).exp() * torch.randn(8, 4, generator=rng(3))
        expected = bernoulli_log_prob(trained.logits(z, labels), x) - kl_to_prior(mu, logvar).sum(dim=1)
    torch.testing.assert_close(trained.log_prob(x, labels, generator=rng(3)), expected)
    plain = set(VAE(SMALL).state_dict())
    assert set(trained.state_dict()) - plain == {"encoder_label.weight", "decoder_label.weight"}


def test_the_importance_weighted_bound_rises_from_the_elbo_given_the_label(trained):
    x, labels = binary()
    elbo = torch.stack([trained.log_prob(x, labels, generator=rng(s)) for s in range(40)]).mean()
    single = torch.stack([trained.iwae(x, 1, rng(s), labels=labels) for s in range(40)]).mean()
    many = trained.iwae(x, 100, rng(5), labels=labels).mean()
    assert single.item() == pytest.approx(elbo.item(), abs=0.7) and elbo < many
    one = trained.log_weights(x[:1], 100, rng(6), labels[:1])
    same = trained.iwae(x[:1], 100, rng(6), labels=labels[:1])
    torch.testing.assert_close(one.logsumexp(0) - math.log(100), same[0])


def test_without_a_label_it_is_the_mean_over_labels(trained):
    x, _ = binary(3)
    thrice, labels = x.repeat_interleave(10, dim=0), torch.arange(10).repeat(3)
    each = trained.log_prob(thrice, labels, generator=rng(4)).view(3, 10)
    mean = each.logsumexp(1) - math.log(10)
    torch.testing.assert_close(trained.log_prob(x, generator=rng(4)), mean)
    assert (mean <= each.max(1).values).all()
    each = trained.iwae(thrice, 5, rng(4), labels=labels).view(3, 10)
    torch.testing.assert_close(trained.iwae(x, 5, rng(4)), each.logsumexp(1) - math.log(10))
    z = torch.randn(3, 4, generator=rng(7))
    with torch.no_grad():
        pixels = torch.stack([trained.decode(z, torch.full((3,), label)) for label in range(10)]).mean(0)
        torch.testing.assert_close(trained.decode(z), pixels, rtol=0, atol=1e-4)


def test_the_guess_is_the_label_with_the_highest_bound(trained):
    x, _ = binary(6)
    with torch.no_grad():
        bounds = []
        for label in range(10):
            labels = torch.full((6,), label)
            mu, logvar = trained.posterior(x, labels)
            kl = kl_to_prior(mu, logvar).sum(dim=1)
            bounds.append(bernoulli_log_prob(trained.logits(mu, labels), x) - kl)
    best = torch.stack(bounds).argmax(0)
    assert torch.equal(trained.guess(x), best)
    assert torch.equal(trained.encode(x), trained.encode(x, best))


def test_training_climbs_the_bound_given_the_label():
    model = small()
    optimizers = model.make_optimizers(HP)
    losses = [model.train_step(batch(), optimizers) for _ in range(4)]
    assert losses[3]["loss"] < losses[0]["loss"]
    assert losses[0]["loss"] == pytest.approx(losses[0]["reconstruction"] + losses[0]["kl"], rel=1e-5)
    wrong = small()
    shuffled = batch()._replace(labels=(batch().labels + 1) % 10)
    assert wrong.train_step(shuffled, wrong.make_optimizers(HP))["loss"] != losses[0]["loss"]


def test_beta_weighs_kl_in_the_update():
    told = {}
    for beta in (1.0, 20.0):
        model = small()
        model.tune({"beta": beta})
        optimizers = model.make_optimizers(HP)
        for step in range(30):
            told[beta] = model.train_step(batch(64, step), optimizers)["kl"]
    assert told[20.0] < 0.5 * told[1.0]
    assert [switch.key for switch in SPECS[0].switches] == ["beta", "num_samples"]


def test_samples_take_the_label_and_draw_one_where_none_is_given():
    model = SPECS[0].build().eval()
    labels = torch.tensor([0, 7])
    drawn = next(model.sample(2, labels=labels, generator=rng(8))).x
    z = model.temperature * torch.randn(2, *model.latent_shape, generator=rng(8))
    with torch.no_grad():
        assert torch.equal(drawn, model.decode(z, labels))
    free = [next(model.sample(4, generator=rng(s))).x for s in (9, 9, 10)]
    assert torch.equal(free[0], free[1]) and not torch.equal(free[0], free[2])
