"""What a model that claims a capability must do, parametrised over the registry."""

import torch
from contract_helpers import fresh, having, labels_for, pictures, rng

from playground import data, registry


@having("HasLatent")
def test_latents_decode(name):
    model = fresh(name)
    z = torch.randn(2, *model.latent_shape, generator=rng())
    x = model.decode(z, labels_for(name, 2))
    assert x.shape == pictures(name, 2)[0].shape and x.isfinite().all()
    assert x.min() >= -1 and x.max() <= 1
    assert torch.equal(x, model.decode(z, labels_for(name, 2)))
    assert not torch.equal(x, model.decode(-z, labels_for(name, 2)))


@having("Encodes")
def test_pictures_encode(name):
    model = fresh(name)
    x, labels = pictures(name, 2)
    z = model.encode(x, labels)
    assert z.shape == (2, *model.latent_shape) and z.isfinite().all()
    assert torch.equal(z, model.encode(x, labels))


@having("HasLikelihood")
def test_likelihoods_are_those_of_discrete_pictures(name):
    model = fresh(name)
    x, labels = pictures(name, 3)
    assert model.likelihood in ("exact", "bound", "dequantised") and model.levels in (2, 256)
    values = model.log_prob(x, labels, generator=rng())
    assert values.shape == (3,) and values.isfinite().all() and (values < 0).all()
    torch.testing.assert_close(values, model.log_prob(x, labels, generator=rng()), rtol=0, atol=0)
    each = [model.log_prob(x[:1], None if labels is None else labels[:1], generator=rng())]
    if model.likelihood == "exact":
        torch.testing.assert_close(values[:1], each[0], rtol=1e-4, atol=1e-2)


@having("Denoises")
def test_noise_comes_and_goes(name):
    model = fresh(name)
    x0, _ = pictures(name, 2)
    eps = torch.randn(x0.shape, generator=rng())
    little, much = (model.add_noise(x0, eps, torch.full((2,), t)) for t in (0, model.num_timesteps - 1))
    assert (little - x0).abs().mean() < 0.1 and (much - eps).abs().mean() < 0.1
    controls = {key: v for key, v in registry.spec(name).preview.items()}
    with torch.no_grad():
        steps = list(model.denoise(eps, labels=labels_for(name, 2), generator=rng(), **controls))
    times = [step.t for step in steps]
    assert times == sorted(set(times), reverse=True) and times[0] < model.num_timesteps
    for step in steps:
        assert step.xt.shape == step.x0_hat.shape == step.eps_hat.shape == x0.shape
    assert torch.equal(steps[0].xt, eps)


@having("Completes")
def test_completing_keeps_what_is_given(name):
    x, labels = pictures(name, 2)
    mask = torch.ones(2, 1, *x.shape[2:])
    mask[:, :, x.shape[2] // 2 :] = 0
    with torch.no_grad():
        moments = list(
            fresh(name).complete(x, mask, labels=labels, generator=rng(), **registry.spec(name).preview)
        )
    last = moments[-1].x
    assert moments[-1].step == moments[-1].num_steps and last.shape == x.shape
    assert ((last - x) * mask).abs().max() < 1e-5 and not torch.equal(last, x)


@having("Translates")
def test_translations_go_both_ways(name):
    x, _ = pictures(name, 2)
    for direction in ("ab", "ba"):
        y = fresh(name).translate(x, direction)
        assert y.shape == x.shape and y.isfinite().all() and y.min() >= -1 and y.max() <= 1


@having("Classifies")
def test_classifiers_have_features_and_answers(name):
    x, _ = pictures(name, 3)
    num_classes = len(data.load(registry.spec(name).dataset, "test").classes)
    assert fresh(name).logits(x).shape == (3, num_classes)
    features = fresh(name).features(x)
    assert features.dim() == 2 and len(features) == 3 and features.isfinite().all()
