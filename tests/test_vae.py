"""VAE: its bound and the tighter one against each other and against the truth, its training, its codes."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from playground import data
from playground.models.vae import SPECS, VAE, VAEConfig, bernoulli_log_prob, lower_bound
from playground.nn import kl_to_prior
from playground.spec import Batch, Recipe

SMALL = VAEConfig(
    latent_dim=4,
    encoder_widths=(4, 8),
    decoder_widths=(8, 4),
    encoder_blocks=(1, 1),
    decoder_blocks=(1, 1),
    warmup=0.5,
)
HP = Recipe(num_steps=10, batch_size=16, lr=2e-3)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def small(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = VAE(SMALL)
        with torch.no_grad():
            model.encoder[-1].weight.mul_(5)  # a posterior that differs from picture to picture
    return model


def batch(num=16, seed=0, progress=1.0):
    images = data.load("mnist", "train")
    return Batch(data.to_float(images.images[:num]), images.labels[:num], rng(seed), progress)


def binary(num=16, seed=0):
    return data.binarise(batch(num).x, rng(seed))


@pytest.fixture(scope="module")
def trained():
    """A small model after a few updates, whose posterior is far from exact."""
    model = small()
    optimizers = model.make_optimizers(HP)
    for step in range(40):
        model.train_step(batch(32, step), optimizers)
    return model.eval()


def test_kl_is_pytorchs_and_the_mean_of_the_log_ratio():
    mu, logvar = torch.randn(3, 5, generator=rng(1)), 0.7 * torch.randn(3, 5, generator=rng(2))
    posterior = Independent(Normal(mu, (0.5 * logvar).exp()), 1)
    prior = Independent(Normal(torch.zeros(3, 5), torch.ones(3, 5)), 1)
    kl = kl_to_prior(mu, logvar).sum(dim=1)
    torch.testing.assert_close(kl, kl_divergence(posterior, prior))
    z = mu + (0.5 * logvar).exp() * torch.randn(40000, 3, 5, generator=rng(3))
    ratio = posterior.log_prob(z) - prior.log_prob(z)
    error = ratio.std(dim=0) / math.sqrt(len(z))
    assert ((ratio.mean(dim=0) - kl).abs() < 5 * error).all()
    assert (kl > 0).all() and (kl_to_prior(torch.zeros(1, 5), torch.zeros(1, 5)) == 0).all()


def test_bernoulli_log_prob_sums_to_one_over_all_pictures():
    logits = torch.randn(1, 1, 2, 2, generator=rng())
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 4).view(16, 1, 2, 2)
    total = bernoulli_log_prob(logits.expand(16, 1, 2, 2), corners).exp().sum()
    assert total.item() == pytest.approx(1.0, abs=1e-5)


def test_the_importance_weighted_bound_rises_from_the_elbo(trained):
    x = binary(32, 5)
    elbo = torch.stack([trained.log_prob(x, generator=rng(s)) for s in range(60)]).mean(dim=0)
    bounds = {k: trained.iwae(x, k, rng(k)).mean().item() for k in (1, 10, 200)}
    single = torch.stack([trained.iwae(x, 1, rng(s)) for s in range(60)]).mean().item()
    assert single == pytest.approx(elbo.mean().item(), abs=0.5), "L_1 is the ELBO"
    assert elbo.mean().item() < bounds[10] < bounds[200]


def test_the_importance_weighted_bound_finds_the_likelihood():
    """With a decoder that ignores z, log p(x) is known and every weight that is averaged estimates it."""
    model = small().eval()
    with torch.no_grad():
        model.decoder[0].weight.zero_()  # the codes never reach the pixels
    x = binary(4)
    with torch.no_grad():
        truth = bernoulli_log_prob(model.decoder(torch.zeros(4, 4)), x)
    torch.testing.assert_close(model.iwae(x, 3000, rng()), truth, rtol=0, atol=0.3)
    assert (model.log_prob(x, generator=rng()) <= truth + 1e-3).all()


def test_chunks_do_not_change_the_bound(trained):
    x = binary(3)
    whole, parts = (trained.iwae(x, 20, rng(4), chunk=chunk) for chunk in (20, 7))
    assert whole.shape == (3,) and parts.shape == (3,)
    torch.testing.assert_close(whole, trained.iwae(x, 20, rng(4), chunk=1000))
    assert (whole - parts).abs().max() < 10  # other draws of the same bound: 7 + 7 + 6 of them
    torch.testing.assert_close(parts, trained.iwae(x, 20, rng(4), chunk=7))


def test_the_likelihood_refuses_grey_pictures_and_no_samples(trained):
    with pytest.raises(ValueError, match="binarise"):
        trained.log_prob(batch().x)
    with pytest.raises(ValueError, match="binarise"):
        trained.iwae(batch().x, 5)
    with pytest.raises(ValueError, match="at least 1; got 0"):
        trained.iwae(binary(), 0)


def test_training_climbs_the_bound_and_kl_warms_up():
    model = small()
    optimizers = model.make_optimizers(HP)
    losses = [model.train_step(batch(), optimizers)["loss"] for _ in range(3)]
    assert losses[2] < losses[0]
    start, end = small(), small()
    first = start.train_step(batch(progress=0.0), start.make_optimizers(HP))
    second = end.train_step(batch(progress=1.0), end.make_optimizers(HP))
    assert first == second, "what is reported is the plain bound, whatever the weight of KL"
    assert first["loss"] == pytest.approx(first["reconstruction"] + first["kl"], rel=1e-5)
    changed = [not torch.equal(a, b) for a, b in zip(start.parameters(), end.parameters(), strict=True)]
    assert any(changed), "but not what is followed"


def test_beta_weighs_kl_in_the_update_and_in_nothing_that_is_reported_or_saved():
    def after(beta):
        model = small()
        keys = list(model.state_dict())
        model.tune({} if beta is None else {"beta": beta})
        told = model.train_step(batch(), model.make_optimizers(HP))
        assert list(model.state_dict()) == keys
        return told, torch.cat([p.detach().flatten() for p in model.parameters()])

    (plain, weights), (told, same), (strong, pressed) = after(None), after(1.0), after(20.0)
    assert torch.equal(weights, same), "1 is the default"
    assert plain == told == strong and not torch.equal(weights, pressed)


def test_more_codes_of_a_picture_climb_the_importance_weighted_bound():
    """L_k as `iwae` has it, from the same draws, and a gradient of its own."""
    x, k = binary(), 5
    model = small()
    terms = model.draws(x, k, torch.Generator().manual_seed(0))
    assert [term.shape for term in terms] == [(k, len(x)), (k, len(x)), (len(x),)]
    weights = (terms[0] + terms[1]).double().exp().mean(dim=0).log()
    assert torch.allclose(lower_bound(*terms).double(), weights, atol=1e-3)
    one = model.draws(x, 1, torch.Generator().manual_seed(0))
    assert torch.allclose(lower_bound(*one, 3.0), one[0][0] - 3 * one[2]), "one code: the ELBO's exact KL"
    told = {}
    for num in (1, k):
        model = small()
        model.tune({"num_samples": num})
        optimizers = model.make_optimizers(HP)
        told[num] = [model.train_step(batch(), optimizers)["loss"] for _ in range(3)]
    assert told[k][2] < told[k][0] < told[1][0], "a tighter bound, which falls"


def test_a_large_beta_empties_the_codes():
    kl = {}
    for beta in (1.0, 20.0):
        model = small()
        model.tune({"beta": beta})
        optimizers = model.make_optimizers(HP)
        for step in range(40):
            told = model.train_step(batch(32, step), optimizers)
        kl[beta] = told["kl"]
    assert kl[20.0] < 0.5 * kl[1.0]


def test_pixels_are_binarised_anew_by_the_batchs_generator():
    model = small()
    hp = Recipe(num_steps=1, lr=1e-12)  # the weights stay where they are
    optimizers = model.make_optimizers(hp)
    one, same, other = (model.train_step(batch(seed=s), optimizers)["loss"] for s in (1, 1, 2))
    assert one == pytest.approx(same, rel=1e-6) and one != pytest.approx(other, rel=1e-6)


def test_every_parameter_gets_a_finite_gradient():
    model = SPECS[0].build(0)
    optimizers = model.make_optimizers(SPECS[0].recipe)
    for seed in range(2):  # behind the zero-initialised convolutions gradients come with the second update
        model.train_step(batch(8, seed), optimizers)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_decoding_the_noise_is_sampling():
    model = SPECS[0].build(0).eval()
    drawn = list(model.sample(4, generator=rng(7)))
    assert len(drawn) == 1 and drawn[0].nfe == 1
    z = torch.randn(4, *model.latent_shape, generator=rng(7))
    with torch.no_grad():
        assert torch.equal(drawn[0].x, model.decode(z))
        cold = next(model.sample(4, generator=rng(7), temperature=0.5)).x
        assert torch.equal(cold, model.decode(0.5 * z))
        torch.testing.assert_close((drawn[0].x + 1) / 2, torch.sigmoid(model.decoder(z)))
    assert torch.equal(drawn[0].x, next(model.sample(4, generator=rng(7))).x)
    assert not torch.equal(drawn[0].x, next(model.sample(4, generator=rng(8))).x)


def test_a_code_is_the_mean_of_the_posterior(trained):
    x = binary(4)
    with torch.no_grad():
        mu, logvar = trained.encoder(x).chunk(2, dim=1)
        assert torch.equal(trained.encode(x), mu) and mu.shape == (4, *trained.latent_shape)
        near = trained.decode(mu)
        error, shuffled = (near - x).square().mean(), (near - x.roll(1, 0)).square().mean()
    assert error < shuffled, "a picture's code decodes to something nearer to it than to another picture"
