"""What the coach would turn: switches that there are, within their range, and never the wrong way."""

import math
import random

import pytest
from coach_helpers import GAN, GANS, VAE, curve, only

from playground import coach, registry, schedules, validation


def test_every_remedy_is_a_switch_in_its_range():
    for spec in map(registry.spec, GANS):
        for rule in coach.RULES:
            for remedy in rule.remedies:
                change = remedy.change if isinstance(remedy, coach.Where) else remedy
                known = {switch.key for switch in spec.switches}
                own = {k: getattr(v, "limit", v) for k, v in change.items() if k in known}
                assert validation.switches(spec, spec.recipe, own, running=True) == own


STRONGER = {"lr_d": 1, "d_steps": 1, "real_label": 1, "instance_noise": -1, "lr_g": -1}  # makes D so
WEAKER = {key: -sign for key, sign in STRONGER.items()}
WAYS = {
    "gan.blind": STRONGER, "gan.generator_wins": STRONGER, "gan.discriminator_wins": WEAKER,
    "gan.vanishing": WEAKER, "gan.collapse": STRONGER | {"instance_noise": 1},
    "gan.oscillation": {"beta1": -1, "lr_g": -1, "lr_d": -1, "lr": -1}, "gan.unbounded": WEAKER,
}  # fmt: skip


@pytest.mark.parametrize("key", WAYS)
def test_a_remedy_never_turns_a_switch_the_other_way(key):
    """Whatever the switches stand at; and what it turns has an effect."""
    known = {switch.key: switch for switch in schedules.switches_of(GAN, GAN.recipe)}
    (rule,) = [rule for rule in coach.RULES if rule.key == key]
    rng = random.Random(0)
    for _ in range(300):
        standing = {switch.key: somewhere(switch, rng) for switch in known.values()}
        for changes in (coach.turned(remedy, known, standing) for remedy in rule.remedies):
            for name in changes.keys() - {"loss", "penalty", "penalty_weight"}:
                assert math.copysign(1, changes[name] - standing[name]) == WAYS[key][name], (name, standing)
            if "penalty" in changes and key != "gan.unbounded":
                assert standing["penalty"] == "none" and standing["loss"] != "wasserstein"
            elif "penalty_weight" in changes and "penalty" not in changes:
                assert changes["penalty_weight"] > standing["penalty_weight"]
            idle = {switch.key for switch, _ in schedules.idle(GAN, GAN.recipe, standing | changes)}
            assert not idle & changes.keys()


def somewhere(switch, rng):
    """A value that a switch may stand at, often one of its ends."""
    if switch.kind == "bool" or switch.choices:
        return rng.choice(switch.choices or (False, True))
    kind = type(switch.default)
    middle = kind(rng.uniform(switch.minimum, switch.maximum))
    return rng.choice([kind(switch.minimum), kind(switch.maximum), middle, switch.default])


def test_a_learning_rate_that_falls_already_is_left_alone():
    settled = {"loss": curve(2.0, 1.0, 1.0, 1.0, 1.0, noise=0.005)}
    for decay, changes in {"none": {"decay": "cosine"}, "linear": {}, "linear, second half": {}}.items():
        assert only(VAE, settled, {"decay": decay}).changes == changes


def test_times_stops_at_its_limit_and_keeps_the_type():
    assert coach.Times(0.5, 0.25).of(1.0) == 0.5 and coach.Times(0.5, 0.25).of(0.3) == 0.25
    assert coach.Times(0.5, 0.25).of(0.1) == 0.1 and coach.Times(2, 2).of(3.0) == 3.0
    steps = coach.Times(0, 1).of(5)
    assert steps == 1 and type(steps) is int
