"""What every model must do, parametrised over the registry: a new model is tested by being there."""

import dataclasses
import json
import re
from functools import cache
from itertools import islice

import pytest
import torch
from contract_helpers import NAMES, draw, fresh, having, labels_for, rng
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from playground import checkpoint, data, previews, registry, training, validation
from playground.spec import Batch, GenerativeModel

FAMILIES = {"vae", "gan", "autoregressive", "flow", "diffusion", "hybrid", "classifier"}


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
    assert re.fullmatch(r"(\d{4}\.\d{4,5})?", spec.paper) and bool(spec.paper) != bool(spec.citation)
    assert spec.dataset in data.names() and spec.levels in (2, 256) and spec.capabilities
    assert issubclass(spec.model, GenerativeModel)


def test_one_shipped_model_stands_for_every_family_that_draws():
    drawing = [registry.spec(name) for name in registry.names("Samples")]
    found = [spec.family for spec in drawing if spec.exemplary and registry.shipped(spec.name)]
    assert sorted(found) == sorted({spec.family for spec in drawing})


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
        assert control.kind in ("choice", "bool", "int", "float", "str")
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
    spec = registry.spec(name)
    plain = json.loads(json.dumps(dataclasses.asdict(spec.config)))
    assert restored(spec.config, plain) == spec.config
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(spec.config, next(iter(plain)), None)


def restored(like, plain):
    """A config built again from what JSON left of it: nested configs are mappings, tuples are lists."""
    if dataclasses.is_dataclass(like):
        return type(like)(**{key: restored(getattr(like, key), value) for key, value in plain.items()})
    return tuple(plain) if isinstance(like, tuple) else plain


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
def test_without_labels_a_model_draws_its_own(name):
    shape = data.load(registry.spec(name).dataset, "test").images.shape[1:]
    with torch.no_grad():
        *_, last = fresh(name).sample(2, generator=rng(), **registry.spec(name).preview)
    assert last.x.shape == (2, *shape)


@pytest.mark.parametrize("name", [n for n in registry.names("Samples") if registry.spec(n).conditional])
def test_asked_labels_steer_what_is_drawn(name):
    """With the shipped weights, by the shipped classifier's judgement; how well stands on the card."""
    judge = registry.load(registry.names("Classifies")[0])
    drawn = draw(name, registry.load(name), num=50)[-1].x
    right = (judge.logits(drawn).argmax(1) == labels_for(name, 50)).float().mean()
    assert right >= 0.2, f"{right:.0%} of the previews show the digit asked for, where chance gives 10%"


def extremes():
    """(model, key, value) for the ends of sliders, every choice, tick boxes on and off, words and none."""
    for name in registry.names("Samples"):
        for control in registry.spec(name).controls:
            ends = (control.minimum, control.maximum)
            few = {"choice": control.choices, "bool": (False, True), "str": ("", "red cat")}
            values = few.get(control.kind, ends)
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
    learning = {key: p for key, p in model.named_parameters() if p.requires_grad}  # a stage may be fixed
    for key, parameter in learning.items():
        parameter.register_hook(lambda grad, key=key: seen.update({key: bool(grad.isfinite().all())}))
    images = data.load(spec.dataset, "train")
    optimizers = model.make_optimizers(spec.recipe)
    for step in range(3):  # behind a layer that starts at zero gradients come with the second update
        x, labels = (
            data.to_float(images.images[8 * step : 8 * step + 8]),
            images.labels[8 * step : 8 * step + 8],
        )
        progress = 0.25 * step  # networks that grow use some layers at the start only, others only later
        later = 6000 + step  # some networks wait for another one's head start
        metrics = model.train_step(Batch(x, labels, rng(step), progress, later), optimizers)
        assert metrics and all(isinstance(value, float) for value in metrics.values())
    assert learning and learning.keys() == seen.keys()
    assert all(seen.values()), [key for key, finite in seen.items() if not finite]


@pytest.mark.parametrize("name", [n for n in NAMES if registry.spec(n).family not in ("gan", "hybrid")])
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
    assert one.shape == (previews.NUM_PREVIEWS, *shape) and one.isfinite().all() and not one.requires_grad
    assert torch.equal(one, two), "fixed latents"
    assert run.model.training


@pytest.mark.parametrize("name", NAMES)
def test_resuming_gives_the_same_bits(name, tmp_path):
    whole = trained_on_few(name)
    checkpoint.save(whole, tmp_path / "c.pt")
    images = data.Images(
        whole.dataset, data.load(whole.dataset).images[:32], data.load(whole.dataset).labels[:32], ()
    )
    again = training.Training(whole.spec, images, whole.recipe, seed=5)
    checkpoint.resume(again, tmp_path / "c.pt")
    assert whole.update()[0] == again.update()[0]
    expected, found = whole.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
