"""The coach on trainings that translate there and back."""

import pytest
from coach_helpers import curve, keys, only

from playground import coach, registry, validation

SPEC = next(
    spec for spec in map(registry.spec, registry.names("Translates")) if coach.family(spec) == coach.CYCLE
)


def there_and_back(**more):
    """The curves of a good game but for what is given."""
    given = {"loss_d_a": 0.15, "loss_d_b": 0.15, "loss_g_ab": 0.5, "loss_g_ba": 0.5}
    given |= {"cycle_a": 0.1, "cycle_b": 0.1} | more
    return {name: curve(value) if isinstance(value, float) else value for name, value in given.items()}


CASES = {
    "it holds": (
        {"cycle_a": curve(0.1, noise=0.0), "cycle_b": curve(0.1, noise=0.0)}, {}, "returned", "good", {},
    ),
    "it gets better": ({"cycle_a": curve(0.6, 0.3, 0.1)}, {}, "returning", "good", {}),
    "one way gets better at the other's cost": (
        {"cycle_a": curve(0.6, 0.3, 0.1), "cycle_b": curve(0.1, 0.1, 0.1, 0.1, 0.2)}, {},
        "losing_the_way", "watch", {"lambda_cycle": 20.0},
    ),
    "no weight": ({}, {"lambda_cycle": 0.0}, "untied", "watch", {"lambda_cycle": 10.0}),
    "seen through": ({"loss_g_ba": 0.97, "loss_d_a": 0.01}, {}, "seen_through", "watch", {"lr_d": 0.5}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_rule(case):
    curves, switches, key, level, changes = CASES[case]
    advice = only(SPEC, there_and_back(**curves), switches)
    assert (advice.key, advice.level) == (f"cycle.{key}", level)
    assert dict(advice.changes) == pytest.approx(changes) if changes else not advice.changes
    assert advice.evidence and set(advice.limits) <= set(dict(advice.evidence))
    validation.switches(SPEC, SPEC.recipe, advice.changes, running=True)


def test_sure_but_wrong_is_not_seen_through():
    assert "cycle.seen_through" not in keys(SPEC, there_and_back(loss_g_ba=0.97))


def test_models_that_go_one_way_play_one_game():
    one_way = [spec for spec in map(registry.spec, registry.names("Translates")) if spec.family == "gan"]
    assert {coach.family(spec) for spec in one_way} == {"gan", coach.CYCLE}
