"""What every model must do, parametrised over the registry: a new model is tested by being there."""

import dataclasses
import json
import re
from functools import cache
from itertools import islice

import pytest
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from playground import data, registry, training, validation
from playground.spec import Batch, GenerativeModel

NAMES = registry.names()
FAMILIES = {"vae", "gan", "autoregressive", "flow", "diffusion", "classifier"}


def having(capability: str):
    """Parametrise over the models with a capability."""
    return pytest.mark.parametrize("name", registry.names(capability))


def rng(seed: int = 0) -> torch.Generator:
    """A seeded CPU generator."""
    return torch.Generator().manual_seed(seed)


@cache
def fresh(name: str) -> GenerativeModel:
    """An untrained model, shaken so that layers that start at zero take part."""
    model = registry.build(name)
    generator = rng(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return model.eval().requires_grad_(False)


def pictures(name: str, num: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Real pictures of a model's data set as it sees them, and their labels if it takes any."""
    spec = registry.spec(name)
    images = data.load(spec.dataset, "test")
    x = data.to_float(images.images[:num])
    x = data.binarise(x, rng()) if spec.levels == 2 else x
    return x, images.labels[:num] if spec.conditional else None


def labels_for(name: str, num: int, first: int = 0) -> torch.Tensor | None:
    """Labels for a conditional model, None for another."""
    return (torch.arange(num) + first) % 10 if registry.spec(name).conditional else None


def draw(name: str, model: GenerativeModel, num: int = 2, seed: int = 0, labels=None, **controls) -> list:
    """All moments of sampling with the controls of quick previews."""
    chosen = {**registry.spec(name).preview, **controls}
    labels = labels_for(name, num) if labels is None else labels
    with torch.no_grad():
        return list(model.sample(num, labels=labels, generator=rng(seed), **chosen))


@cache
def trained_on_few(name: str) -> training.Training:
    """A run on 32 pictures that has done one update."""
    images = data.load(registry.spec(name).dataset, "train")
    few = dataclasses.replace(images, images=images.images[:32], labels=images.labels[:32])
    recipe = dataclasses.replace(registry.spec(name).recipe, num_steps=4, batch_size=8, warmup=0)
    run = training.Training(registry.spec(name), few, recipe, seed=5)
    run.update()
    return run


@pytest.mark.parametrize("name", NAMES)
def test_the_spec_is_complete(name):
    spec = registry.spec(name)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", spec.name) and spec.name == name and spec.title
    assert spec.family in FAMILIES and 1980 <= spec.year <= 2100
    assert re.fullmatch(r"(\d{4}\.\d{4,5})?", spec.paper)
    assert spec.dataset in data.names() and spec.levels in (2, 256) and spec.capabilities
    assert issubclass(spec.model, GenerativeModel)


@pytest.mark.parametrize("name", NAMES)
def test_the_texts_are_three_sentences_in_both_languages(name):
    about = registry.spec(name).about
    assert len(re.findall(r"[.!?](?=\s|$)", about.summary.en)) == 3, about.summary.en
    assert len(re.findall(r"[。！？]", about.summary.zh)) == 3, about.summary.zh
    assert about.formula and "$" not in about.formula
    for words in (about.strengths, about.weaknesses):
        assert words.en.strip() and re.search(r"[\u4e00-\u9fff]", words.zh)


@pytest.mark.parametrize("name", NAMES)
def test_controls_are_valid(name):
    spec = registry.spec(name)
    keys = [control.key for control in spec.controls]
    assert len(set(keys)) == len(keys)
    for control in spec.controls:
        assert control.kind in ("choice", "bool", "int", "float")
        assert control.label.en and re.search(r"[\u4e00-\u9fffA-Za-z]", control.label.zh)
        if control.kind in ("int", "float"):
            assert (
                control.minimum is not None
                and control.maximum is not None
                and control.minimum < control.maximum
            )
    assert validation.controls(spec, {}) == spec.defaults()
    checked = validation.controls(spec, dict(spec.preview))
    assert {key: checked[key] for key in spec.preview} == dict(spec.preview)


@pytest.mark.parametrize("name", NAMES)
def test_the_config_survives_json(name):
    config = registry.spec(name).config

    def tuples(value):
        return tuple(map(tuples, value)) if isinstance(value, list) else value

    plain = json.loads(json.dumps(registry.spec(name).config_dict()))
    assert type(config)(**{key: tuples(value) for key, value in plain.items()}) == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, next(iter(plain)), None)


@pytest.mark.parametrize("name", NAMES)
def test_building_is_decided_by_the_seed_alone(name):
    before = torch.get_rng_state()
    one, same, other = (registry.build(name, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state()), "building leaves the global generator as it was"
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@having("Samples")
def test_samples_are_pictures_and_the_seed_decides_them(name):
    spec, before = registry.spec(name), torch.get_rng_state()
    moments = draw(name, fresh(name))
    assert torch.equal(before, torch.get_rng_state()), "sampling leaves the global generator alone"
    assert [m.step for m in moments] == sorted({m.step for m in moments})
    assert moments[-1].step == moments[-1].num_steps and len({m.num_steps for m in moments}) == 1
    assert [m.nfe for m in moments] == sorted(m.nfe for m in moments) and moments[-1].nfe >= 1
    shape = data.load(spec.dataset, "test").images.shape[1:]
    for moment in moments:
        assert moment.x.shape == (2, *shape) and moment.x.isfinite().all() and not moment.x.requires_grad
        assert moment.x.dtype == torch.float32
    last = moments[-1].x
    assert last.min() >= -1 and last.max() <= 1
    if spec.levels == 2:
        assert set(last.unique().tolist()) <= {-1.0, 1.0}
    assert torch.equal(last, draw(name, fresh(name))[-1].x)
    assert not torch.equal(last, draw(name, fresh(name), seed=1)[-1].x)


@having("Samples")
def test_labels_matter_exactly_where_they_should(name):
    if registry.spec(name).conditional:
        zeros, fives = (draw(name, fresh(name), labels=torch.full((2,), k))[-1].x for k in (0, 5))
        assert not torch.equal(zeros, fives)
        with torch.no_grad():
            drawn = list(fresh(name).sample(2, generator=rng(), **registry.spec(name).preview))
        assert drawn[-1].x.shape == zeros.shape, "without labels the model draws its own"


@having("Samples")
def test_asked_labels_are_drawn(name):
    """With the shipped weights, by the shipped classifier's judgement."""
    if not registry.spec(name).conditional:
        return
    judge = next(iter(registry.names("Classifies")))
    drawn = draw(name, registry.load(name), num=20)[-1].x
    right = (registry.load(judge).logits(drawn).argmax(1) == labels_for(name, 20)).float().mean()
    assert right >= 0.8, f"{right:.0%} of the previews show the digit asked for"


def extremes():
    """(model, key, value) for both ends of every slider, every choice and both states of every tick box."""
    for name in registry.names("Samples"):
        for control in registry.spec(name).controls:
            ends = (control.minimum, control.maximum)
            values = {"choice": control.choices, "bool": (False, True)}.get(control.kind, ends)
            yield from (pytest.param(name, control.key, v, id=f"{name}-{control.key}-{v}") for v in values)


@pytest.mark.parametrize(("name", "key", "value"), extremes())
def test_the_ends_of_every_control_work(name, key, value):
    spec = registry.spec(name)
    controls = validation.controls(spec, {**spec.preview, key: value})
    with torch.no_grad():
        steps = fresh(name).sample(1, labels=labels_for(name, 1), generator=rng(), **controls)
        moments = list(islice(steps, 8))  # the first of a thousand steps tell as much as all of them
    assert moments and all(m.x.isfinite().all() for m in moments)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_gets_a_finite_gradient(name):
    spec = registry.spec(name)
    model = spec.build().train()
    seen: dict[str, bool] = {}
    for key, parameter in model.named_parameters():
        parameter.register_hook(lambda grad, key=key: seen.update({key: bool(grad.isfinite().all())}))
    images = data.load(spec.dataset, "train")
    optimizers = model.make_optimizers(spec.recipe)
    for step in range(2):  # behind a layer that starts at zero gradients come with the second update
        x = data.to_float(images.images[8 * step : 8 * step + 8])
        metrics = model.train_step(
            Batch(x, images.labels[8 * step : 8 * step + 8], rng(step), 0.0), optimizers
        )
        assert metrics and all(isinstance(value, float) for value in metrics.values())
    assert {key for key, _ in model.named_parameters()} == seen.keys()
    assert all(seen.values()), [key for key, finite in seen.items() if not finite]


@pytest.mark.parametrize("name", [n for n in NAMES if registry.spec(n).family != "gan"])
def test_two_updates_lower_the_loss_on_one_batch(name):
    spec = registry.spec(name)
    model = spec.build().train()
    images = data.load(spec.dataset, "train")
    optimizers = model.make_optimizers(dataclasses.replace(spec.recipe, lr=spec.recipe.lr / 10))
    losses = []
    for _ in range(3):
        batch = Batch(
            data.to_float(images.images[:16]), images.labels[:16], rng(), 0.5
        )  # the same noise every time
        losses.append(next(iter(model.train_step(batch, optimizers).values())))
    assert losses[2] < losses[0]


@having("Samples")
def test_weights_survive_safetensors(name):
    state = load_safetensors(
        save_safetensors({k: v.contiguous() for k, v in fresh(name).state_dict().items()})
    )
    other = registry.build(name, seed=3)
    other.load_state_dict(state)
    assert torch.equal(draw(name, other.eval())[-1].x, draw(name, fresh(name))[-1].x)


@having("Samples")
def test_previews_are_sixteen_pictures(name):
    run = trained_on_few(name)
    shape = data.load(run.spec.dataset, "test").images.shape[1:]
    one, two = run.preview(), run.preview()
    assert one.shape == (training.NUM_PREVIEWS, *shape) and one.isfinite().all() and not one.requires_grad
    assert torch.equal(one, two), "fixed latents"
    assert run.model.training


@pytest.mark.parametrize("name", NAMES)
def test_resuming_gives_the_same_bits(name, tmp_path):
    whole = trained_on_few(name)
    whole.save(tmp_path / "c.pt")
    images = data.Images(
        whole.dataset, data.load(whole.dataset).images[:32], data.load(whole.dataset).labels[:32], ()
    )
    again = training.Training(whole.spec, images, whole.recipe, seed=5)
    again.resume(tmp_path / "c.pt")
    assert whole.update()[0] == again.update()[0]
    expected, found = whole.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


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
