"""What a model that claims a capability must do, parametrised over the registry."""

import math

import pytest
import torch
from contract_helpers import fresh, having, labels_for, pictures, rng

from playground import data, registry, translating


@having("HasLatent")
def test_latents_decode(name):
    model = fresh(name)
    z = torch.randn(2, *model.latent_shape, generator=rng())
    x = model.decode(z, labels_for(name, 2))
    assert x.shape == pictures(name, 2)[0].shape and x.isfinite().all()
    assert x.min() >= -1 and x.max() <= 1
    assert torch.equal(x, model.decode(z, labels_for(name, 2)))
    assert not torch.equal(x, model.decode(-z, labels_for(name, 2)))


@having("HasLatent")
def test_a_decoding_costs_what_the_model_says(name):
    model, seen = fresh(name), []
    denoiser = getattr(model, "denoiser", None)
    if denoiser is None:
        assert model.decode_nfe == 1
        return
    denoiser.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    model.decode(torch.randn(2, *model.latent_shape, generator=rng()), labels_for(name, 2))
    assert sum(seen) == 2 * model.decode_nfe


@having("Translates")
def test_a_translation_costs_what_the_model_says(name):
    spec, model, seen = registry.spec(name), fresh(name).eval(), []
    for part in model.children():
        part.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    x = torch.rand(2, spec.config.channels[0], *[translating.reads(spec, "ab")[1]] * 2) * 2 - 1
    model.translate(x, "ab")
    assert sum(seen) == 2 * model.translate_nfe


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


@having("PredictsPixels")
def test_the_pixels_distributions_multiply_to_the_likelihood(name):
    model = fresh(name)
    x, _ = pictures(name, 2)
    labels = torch.tensor([7, 3])
    logits = model.pixel_logits(x, labels)
    assert logits.shape == (2, model.levels, *x.shape[2:])
    levels = ((x + 1) * (model.levels - 1) / 2).round().long()
    each = logits.log_softmax(dim=1).gather(1, levels).flatten(1)
    torch.testing.assert_close(each.sum(1), model.log_prob(x, labels), rtol=1e-4, atol=1e-2)


@having("PredictsPixels")
def test_a_pixel_is_predicted_from_those_before_it_alone(name):
    model = fresh(name)
    x, labels = pictures(name, 1)[0].requires_grad_(), torch.tensor([7])
    logits, width = model.pixel_logits(x, labels), x.shape[3]
    for place in (0, 13 * width + 14, x[0].numel() - 1):
        picked = logits[0, :, place // width, place % width].square().sum()
        (gradient,) = torch.autograd.grad(picked, x, retain_graph=True)
        seen = gradient.flatten() != 0
        assert not seen[place:].any() and seen[:place].any() == (place > 0)


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
def test_translations_go_where_they_say(name):
    model, spec = fresh(name), registry.spec(name)
    rows, _ = pictures(name, 2)
    assert model.directions and model.directions == spec.model.directions
    for direction in model.directions:
        x, truth = model.split(rows) if direction == "ab" else reversed(model.split(rows))
        y = model.translate(x, direction)
        assert y.shape == truth.shape and y.isfinite().all() and y.min() >= -1 and y.max() <= 1
        assert torch.equal(y, model.translate(x, direction)), "without a generator nothing is random"
        drawn, again = (model.translate(x, direction, rng()) for _ in range(2))
        assert torch.equal(drawn, again)
    with pytest.raises(ValueError, match="direction"):
        model.translate(x, "up")
    shown = model.translated_pairs(rows)
    assert shown.shape == (8, max(model.channels), *rows.shape[2:]) and shown.min() >= -1 and shown.max() <= 1


@having("JudgesPatches")
def test_discriminators_judge_patch_by_patch(name):
    model = fresh(name)
    rows, _ = pictures(name, 2)
    assert 1 < model.receptive_field() <= 70
    for direction in model.directions:
        x, y = model.split(rows) if direction == "ab" else reversed(model.split(rows))
        patches = model.judge_patches(x, y, direction)
        assert patches.dim() == 4 and patches.shape[:2] == (2, 1) and patches.isfinite().all()
        assert patches[0].numel() > 1


@having("Classifies")
def test_classifiers_have_features_and_answers(name):
    x, _ = pictures(name, 3)
    num_classes = len(data.load(registry.spec(name).dataset, "test").classes)
    assert fresh(name).logits(x).shape == (3, num_classes)
    features = fresh(name).features(x)
    assert features.dim() == 2 and len(features) == 3 and features.isfinite().all()


@having("Flows")
def test_flows_are_watched_layer_by_layer(name):
    model = fresh(name)
    x, _ = pictures(name, 2)
    steps, num_dims = list(model.through(x)), math.prod(x.shape[1:])
    assert len(steps) > 2 and len({step.name for step in steps}) == len(steps)
    for step in steps:
        assert step.h.shape == (2, num_dims) and step.log_det.shape == (2,)
        assert step.h.isfinite().all() and step.log_det.isfinite().all()
        assert step.places is None or sorted(step.places.tolist()) == list(range(num_dims))
    z, log_det = model.flow(x)
    assert torch.equal(steps[-1].h, model.encode(x).flatten(1))
    torch.testing.assert_close(steps[-1].h.float(), z, rtol=1e-2, atol=1e-2)  # rounding grows with depth
    total = torch.stack([step.log_det for step in steps]).double().sum(0)
    torch.testing.assert_close(total.float(), log_det, rtol=1e-5, atol=1e-2)
    groups = torch.cat(model.latent_groups())
    assert sorted(groups.tolist()) == list(range(num_dims))


@having("Flows")
def test_places_are_where_variables_come_from(name):
    """Before anything is mixed a pixel that changes moves the variable at its own place, and no other."""
    model = fresh(name)
    x, _ = pictures(name, 1)
    other = x.clone()
    other[..., 9, 5] = 0.3
    ways = zip(model.through(x), model.through(other), strict=True)
    for index, (step, after) in enumerate(ways):
        changed = (step.h != after.h)[0]
        if step.places is not None:
            changed = torch.zeros_like(changed).scatter(0, step.places, changed)
        assert changed.view(x.shape[2:])[9, 5] and (index > 0 or changed.sum() == 1)
        if index == 1:
            break


@having("HasPosterior")
def test_posteriors_are_gaussians_whose_mean_is_the_code(name):
    model = fresh(name)
    x, labels = pictures(name, 3)
    mu, logvar = model.posterior(x, labels)
    assert mu.shape == logvar.shape == (3, math.prod(model.latent_shape))
    assert mu.isfinite().all() and logvar.isfinite().all()
    assert torch.equal(model.encode(x, labels).flatten(1), mu)
    guess = model.guess(x)
    if registry.spec(name).conditional:
        assert guess.shape == (3,) and torch.equal(model.posterior(x)[0], model.posterior(x, guess)[0])
    else:
        assert guess is None


@having("HasPosterior")
def test_log_weights_average_to_the_bound(name):
    """E_q[log p(x|z) p(z) / q(z|x)] is the ELBO, for one picture."""
    model = fresh(name)
    x, labels = pictures(name, 1)
    weights = model.log_weights(x, 400, rng(), labels)
    assert weights.shape == (400,) and weights.isfinite().all()
    many = None if labels is None else labels.expand(200)
    bound = model.log_prob(x.expand(200, -1, -1, -1), many, generator=rng(1))
    error = math.hypot(weights.std().item() / 20, bound.std().item() / 200**0.5)
    assert abs(weights.mean().item() - bound.mean().item()) < 5 * error + 1e-2


@having("Jumps")
def test_jumps_draw_many_pictures_behind_one(name):
    model, num = fresh(name), 4
    a = model.alphas_cumprod
    assert len(a) == model.num_timesteps and a[0] == 1 and (a.diff() < 0).all()
    x0, _ = pictures(name, 1)
    eps = torch.randn(x0.shape, generator=rng())
    for t in range(1, model.num_timesteps):
        xt = model.add_noise(x0, eps, torch.tensor([t]))
        torch.testing.assert_close(xt, a[t].sqrt() * x0 + (1 - a[t]).sqrt() * eps)
        drawn, same = (model.draw_x0(xt.expand(num, -1, -1, -1), t, generator=rng(1)) for _ in range(2))
        assert drawn.shape == (num, *x0.shape[1:]) and drawn.min() >= -1 and drawn.max() <= 1
        assert torch.equal(drawn, same) and not torch.equal(drawn[0], drawn[1])


@having("HasCodes")
def test_words_are_painted_as_pictures(name):
    model, (x, _) = fresh(name), pictures(name, 3)
    codes = model.codes(x)
    assert codes.dtype == torch.int64 and codes.dim() == 3 and codes.min() >= 0
    assert codes[0].numel() < x[0].numel() and torch.equal(codes[:1], model.codes(x[:1]))
    painted = model.paint(codes)
    assert painted.shape == x.shape and painted.min() >= -1 and painted.max() <= 1
