"""The switches of adversarial training together: which undo each other, and what is said of it."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from playground import data, registry
from playground.job import Job, Request
from playground.models.cgan import CGAN, CGANConfig
from playground.models.sngan import SNGAN, SNGANConfig
from playground.schedules import idle, switches_of
from playground.spec import Batch, Recipe
from playground.tabs import train_panel, train_request
from playground.training import Training

HP = Recipe(num_steps=4, batch_size=8, lr=4e-4, ema=0.9)
SHAPE = {"latent_dim": 8, "generator_widths": (16, 12, 8), "discriminator_widths": (8, 12, 16)}
BUILT_WITH = [
    name
    for name in registry.names("Samples")
    if any(s.key == "spectral_norm" and s.default for s in registry.spec(name).switches)
]


def layers(model):
    return [m for m in model.discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def test_instance_noise_is_on_the_real_pictures_with_a_wrong_label_too():
    model, seen = CGAN(CGANConfig(**SHAPE)), []
    model.tune({"instance_noise": 0.5})
    model.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = data.load("mnist", "train")
    x, rng = data.to_float(images.images[:16]), torch.Generator().manual_seed(0)
    model.discriminator_loss(Batch(x, images.labels[:16], rng, 0.0, 0), torch.zeros(16), torch.zeros(16))
    assert (seen[0] - x).std().item() == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("name", BUILT_WITH)
def test_spectral_norm_that_a_model_is_built_with_can_be_left_out(name):
    spec = registry.spec(name)
    run = Training(spec, data.load(spec.dataset, "train"), HP, switches={"spectral_norm": False})
    assert layers(run.model) and not any(is_parametrized(layer) for layer in layers(run.model))
    trained = {id(p) for o in run.optimizers.values() for g in o.param_groups for p in g["params"]}
    assert trained == {id(p) for p in run.model.parameters()}
    before = [layer.weight.detach().clone() for layer in layers(run.model)]
    run.update()
    assert not any(
        torch.equal(old, layer.weight) for old, layer in zip(before, layers(run.model), strict=True)
    )
    assert run.switches["spectral_norm"] is False


def test_what_is_left_without_spectral_norm_is_the_plain_game():
    """The same weights are drawn; with the norm taken off they are those that it divided."""
    made = []
    for model, techniques in ((SNGAN, {"spectral_norm": False}), (SNGAN, {})):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made.append(model(SNGANConfig(**SHAPE)))
        made[-1].tune(techniques)
    off, on = made
    assert set(off.state_dict()) == {key.replace(".parametrizations.weight.original", ".weight") for key
                                     in on.state_dict() if not key.endswith(("._u", "._v"))}  # fmt: skip
    for plain, normed in zip(layers(off), layers(on), strict=True):
        assert torch.equal(plain.weight, normed.parametrizations.weight.original)
    off.tune({"spectral_norm": True})
    assert all(is_parametrized(layer) for layer in layers(off))


WITH_PLAYERS = [
    n for n in registry.names("Samples") if "players" in {s.key for s in registry.spec(n).switches}
]
IDLE = [
    ({"penalty": "R1", "players": "generator"}, {"penalty": "players"}),
    ({"penalty": "R1", "players": "discriminator"}, {}),
    ({"real_label": 0.8, "loss": "wasserstein"}, {"real_label": "loss"}),
    ({"real_label": 0.8, "loss": "hinge"}, {"real_label": "loss"}),
    ({"real_label": 0.8, "loss": "least-squares"}, {}),
    ({"penalty_weight": 1.0}, {"penalty_weight": "penalty"}),
    ({"penalty_weight": 1.0, "penalty": "weight clipping"}, {"penalty_weight": "penalty"}),
    ({"penalty_weight": 1.0, "penalty": "gradient penalty"}, {}),
    ({"clip": 0.1, "penalty": "R1"}, {"clip": "penalty"}),
    ({"clip": 0.1, "penalty": "weight clipping"}, {}),
    ({"d_steps": 3, "lr_g": 2.0, "players": "discriminator"}, {"d_steps": "players", "lr_g": "players"}),
    ({"lr_d": 2.0, "lr_g": 2.0, "players": "generator"}, {"lr_d": "players"}),
    ({"instance_noise": 0.1, "beta1": 0.9, "lr": 0.1, "players": "generator"}, {}),
    ({}, {}),
]  # fmt: skip


def plain():
    """The model whose switches all stand where they leave the game plain."""
    return next(s for s in map(registry.spec, WITH_PLAYERS) if s.paper == "1511.06434")


@pytest.mark.parametrize(("turned", "expected"), IDLE)
def test_what_has_no_effect_is_known(turned, expected):
    spec = plain()
    standing = {s.key: s.default for s in switches_of(spec, spec.recipe)} | turned
    found = {switch.key: other.key for switch, other in idle(spec, spec.recipe, standing)}
    assert found == expected


@pytest.mark.parametrize("name", registry.names())
def test_what_a_switch_needs_are_choices_of_others_and_nothing_is_idle_at_first(name):
    spec = registry.spec(name)
    own = {switch.key: switch for switch in switches_of(spec, spec.recipe)}
    for switch in own.values():
        for key, values in switch.needs:
            assert key not in own or set(values) < set(own[key].choices)
    assert idle(spec, spec.recipe, {key: switch.default for key, switch in own.items()}) == []


@pytest.mark.parametrize("turned", [turned for turned, expected in IDLE if expected])
def test_what_has_no_effect_has_none(turned):
    """An update with it is the update without, to the last bit."""
    spec, made = plain(), []
    images = data.load(spec.dataset, "train")
    without = {s.key for s, _ in idle(spec, HP, Request(spec, "mnist", HP, 0, None, turned).standing())}
    for switches in (turned, {key: value for key, value in turned.items() if key not in without}):
        run = Training(spec, images, HP, switches=switches)
        run.update()
        made.append(run.model.state_dict())
    assert all(torch.equal(value, made[1][key]) for key, value in made[0].items())


def test_a_job_says_what_has_no_effect_and_goes_on():
    job = Job(Request(plain(), "mnist", HP, 0, None, {"penalty_weight": 3.0}), ["a"])
    sentence = "“Weight of the penalty” has no effect while “What keeps the discriminator smooth” is none."
    assert train_request.report(job.view(0, 1, 4), "en")["notes"] == [sentence]
    (chinese,) = train_request.report(job.view(0, 1, 4), "zh")["notes"]
    assert "不起作用" in chinese and "惩罚的权重" in chinese
    drawn = train_panel.live(job.view(0, 1, 4), "")
    assert sentence in drawn and chinese in drawn
    job.pending = {"penalty": "R1"}
    assert train_request.notes(job.view(0, 1, 4)) == []
    assert "不起作用" not in train_panel.live(job.view(0, 1, 4), "")


def test_a_recipe_repeats_the_betas_that_the_switches_start_from():
    """The optimisers go by the techniques; the recipe is what a card shows."""
    specs = [s for s in map(registry.spec, registry.names()) if hasattr(s.config, "techniques")]
    assert len(specs) > 8
    for spec in specs:
        assert spec.recipe.betas == spec.config.techniques.betas, spec.name
        starts = {s.key: s.default for s in spec.switches if s.key in ("beta1", "beta2")}
        assert tuple(starts.values()) in ((), spec.recipe.betas), spec.name
