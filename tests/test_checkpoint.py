"""Going on: from a checkpoint or from shipped weights, with switches left turned and switches turned anew."""

from dataclasses import asdict, replace

import pytest
import torch
from tiny import RECIPE, SPEC, Tiny

from playground import checkpoint, pretrain, registry, weights
from playground.data import Images
from playground.models.sngan import SNGAN, SNGANConfig
from playground.spec import Recipe, Switch, Words
from playground.training import Training
from playground.weights import WeightsError


class Dial(Tiny):
    """Tiny whose loss is multiplied by what a switch stands at."""

    gain = 1.0

    def tune(self, values):
        self.gain = values.get("gain", self.gain)

    def loss(self, x, generator):
        return self.gain * super().loss(x, generator)


DIAL = replace(
    SPEC, name="dial", model=Dial, switches=(Switch("gain", Words("G", "G"), 1.0, 0.0, 9.0),),
    recipe=replace(RECIPE, num_steps=1000),
)  # fmt: skip
SHAPE = {"latent_dim": 8, "generator_widths": (16, 12, 8), "discriminator_widths": (8, 12, 16)}
GAN = replace(
    registry.spec("sngan"),
    name="small",
    model=SNGAN,
    config=SNGANConfig(**SHAPE),
    recipe=Recipe(9, 8, ema=0.9),
)


def pictures(side: int) -> Images:
    pixels = torch.randint(0, 256, (40, 1, side, side), dtype=torch.uint8)
    return Images("squares", pixels, torch.zeros(40, dtype=torch.int64), ("square",))


def fresh(spec=DIAL, side=4, **switches) -> Training:
    return Training(spec, pictures(side), seed=3, switches=switches)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_PRETRAINED", str(tmp_path))
    registered = {spec.name: spec for spec in (DIAL, GAN)}
    monkeypatch.setattr(registry, "_specs", lambda: registered)
    registry.unload()
    yield
    registry.unload()


def interrupted(run: Training, path) -> Training:
    run.update()
    run.step = 5
    checkpoint.save(run, path)
    return run


def finished(run: Training) -> Training:
    """A run of five updates whose weights are shipped."""
    run.update()
    run.step = 5
    weights.save(run.spec.name, run.best_model().state_dict(), pretrain.card(run))
    return run


def test_a_resumed_run_has_the_switches_of_the_run_it_goes_on_from(tmp_path):
    """Those of its weights, those given at its start and those turned since, in that order."""
    finished(fresh(gain=2.0))
    run = fresh(lr=0.5)
    checkpoint.from_weights(run)
    assert run.changes == [(0, {"gain": 2.0}), (5, {"lr": 0.5})] and run.model.gain == 2.0
    run.step = 7
    run.tune({"gain": 3.0})
    checkpoint.save(run, tmp_path / "c.pt")
    for again in (fresh(), fresh(lr=0.5)):
        checkpoint.resume(again, tmp_path / "c.pt")
        assert again.changes == [*run.changes] and len(again.changes) == 3
        assert again.model.gain == 3.0 and again.recipe == run.recipe and again.recipe.lr == 0.5
        assert again.switches == run.switches


@pytest.mark.parametrize("given", [{"gain": 4.0}, {"lr": 0.25}, {"gain": 4.0, "lr": 0.25, "decay": "none"}])
def test_what_is_given_anew_wins_and_counts_from_there_on(tmp_path, given):
    left = interrupted(fresh(gain=2.0, decay="none"), tmp_path / "c.pt")
    run = fresh(**given)
    checkpoint.resume(run, tmp_path / "c.pt")
    new = {key: value for key, value in given.items() if key != "decay"}  # that one stands there already
    assert run.changes == [*left.changes, (5, new)]
    assert run.switches == left.switches | given
    assert run.model.gain == run.switches["gain"]
    assert pretrain.card(run)["recipe"] == asdict(DIAL.recipe)  # before anything was turned
    (optimizer,) = run.optimizers.values()
    assert optimizer.param_groups[0]["initial_lr"] == run.recipe.lr == run.switches["lr"]
    assert next(iter(optimizer.state.values()))["step"] == 1  # the moments are those of the checkpoint


@pytest.mark.parametrize("content", [[1, 2], 3, None])
def test_a_checkpoint_that_holds_no_state_is_refused_in_one_sentence(tmp_path, content):
    torch.save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(weights.WeightsError, match=type(content).__name__):
        checkpoint.resume(fresh(), tmp_path / "checkpoint.pt")


def test_the_recipe_must_still_be_the_same_whatever_is_given(tmp_path):
    interrupted(fresh(gain=2.0), tmp_path / "c.pt")
    other = replace(DIAL, recipe=replace(DIAL.recipe, warmup=4))
    with pytest.raises(WeightsError, match="another recipe"):
        checkpoint.resume(fresh(other, lr=0.25), tmp_path / "c.pt")


def test_weights_go_on_as_they_were_trained_whatever_is_the_default_today(monkeypatch):
    finished(fresh(decay="none"))
    today = replace(DIAL, switches=(replace(DIAL.switches[0], default=5.0),))
    monkeypatch.setattr(registry, "_specs", lambda: {"dial": today})
    run = fresh(today, lr=0.5)
    checkpoint.from_weights(run)
    assert run.changes == [(0, {"gain": 1.0}), (0, {"decay": "none"}), (5, {"lr": 0.5})]
    assert run.model.gain == run.switches["gain"] == 1.0
    run = fresh(today, gain=5.0)
    checkpoint.from_weights(run)
    assert run.changes[-1] == (5, {"gain": 5.0}) and run.model.gain == 5.0


@pytest.mark.parametrize("changes", [None, [5], [[0, 5]], [["0", {}]], {"gain": 1.0}])
def test_a_card_whose_changes_make_no_sense_is_refused_in_one_sentence(changes):
    left = finished(fresh())
    weights.write_card("dial", registry.card("dial") | {"changes": changes})
    for use in (lambda: checkpoint.from_weights(left), lambda: registry.load("dial")):
        with pytest.raises(WeightsError, match="cannot be read \\(changes\\)"):
            use()


@pytest.mark.parametrize("switch", [{"spectral_norm": False}, {"minibatch": "discrimination"}])
def test_layers_that_a_switch_added_or_took_away_are_there_when_it_goes_on(tmp_path, switch):
    left = finished(fresh(GAN, 28, **switch))
    checkpoint.save(left, tmp_path / "c.pt")
    assert registry.load("small").state_dict().keys() == left.model.state_dict().keys()
    for go_on in (checkpoint.from_weights, lambda run: checkpoint.resume(run, tmp_path / "c.pt")):
        run = fresh(GAN, 28)
        go_on(run)
        assert run.changes == left.changes
        trained = {id(p) for o in run.optimizers.values() for g in o.param_groups for p in g["params"]}
        assert trained == {id(p) for p in run.model.parameters()}
        run.update()
        run.best_model()


def test_layers_cannot_be_added_to_a_run_that_goes_on(tmp_path):
    finished(fresh(GAN, 28))
    with pytest.raises(WeightsError, match="minibatch can only be set when a training starts"):
        checkpoint.from_weights(fresh(GAN, 28, minibatch="stddev"))
