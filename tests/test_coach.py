"""The coach: every rule on synthetic curves, no false alarm on real runs."""

import json
import math
from types import SimpleNamespace

import pytest
from coach_helpers import (
    BARE,
    GAN,
    NUM,
    SPECS_BY_FAMILY,
    VAE,
    curve,
    game,
    keys,
    only,
    scores,
    swinging,
)

from playground import coach, locale, registry, replay, symptoms, validation, weights
from playground.trends import WINDOW, Run

WGAN = {"loss": "wasserstein", "penalty": "gradient penalty"}
LOST = game(class_entropy=curve(1.0, 3.2, 3.1, 2.0, 2.0, every=30))
CASES = {
    "balance": (GAN, game(), {}, "gan.balance", "good", {}),
    "label smoothing": (GAN, game(0.78, 0.12), {"real_label": 0.9}, "gan.balance", "good", {}),
    "vanishing": (
        GAN, game(0.99, 0.005, curve(1.0, 0.5, 0.03, 0.02, 0.02)), {"loss": "saturating"},
        "gan.vanishing", "bad", {"loss": "non-saturating"},
    ),
    "D wins, d_steps": (
        GAN, game(0.97, 0.03), {"d_steps": 5}, "gan.discriminator_wins", "watch", {"d_steps": 1},
    ),
    "D wins by far": (GAN, game(0.99, 0.004), {}, "gan.discriminator_wins", "bad", {"lr_d": 0.5}),
    "D wins, slow already": (
        GAN, game(0.97, 0.03), {"lr_d": 0.25}, "gan.discriminator_wins", "watch", {"instance_noise": 0.2},
    ),
    "D wins the hinge": (
        GAN, scores(curve(3.0), curve(-3.0), wasserstein=False, loss_d=curve(0.03)), {"loss": "hinge"},
        "gan.discriminator_wins", "watch", {"lr_d": 0.5},
    ),
    "G wins": (GAN, game(0.8, 0.75), {"lr_g": 4.0}, "gan.generator_wins", "watch", {"lr_g": 2.0}),
    "G wins by far": (GAN, game(0.9, 0.9), {"lr_g": 0.25}, "gan.generator_wins", "bad", {"lr_d": 2.0}),
    "fakes score higher": (
        GAN, scores(curve(1.0), curve(3.0)), WGAN, "gan.generator_wins", "watch", {"lr_g": 0.5},
    ),
    "blind": (
        GAN, game(0.51, 0.5), {"instance_noise": 0.6}, "gan.blind", "watch", {"instance_noise": 0.0},
    ),
    "not varied yet": (
        GAN, game(class_entropy=curve(0.8, 1.5, every=30), distinct=curve(0.1, 0.2, every=30)), {},
        "gan.unvaried", "neutral", {},
    ),
    "alike, of all classes": (
        GAN, game(class_entropy=curve(3.2, every=30), distinct=curve(0.2, every=30)), {},
        "gan.unvaried", "neutral", {},
    ),
    "blind without noise": (
        GAN, game(0.51, 0.5), {"real_label": 0.7}, "gan.blind", "watch", {"real_label": 1.0},
    ),
    "blind with nothing in its way": (
        GAN, game(0.51, 0.5), {"real_label": 1.0}, "gan.blind", "watch", {"lr_d": 2.0},
    ),
    "blind and quick": (
        GAN, game(0.51, 0.5), {"real_label": 1.0, "lr_d": 2.0}, "gan.blind", "watch", {"d_steps": 2},
    ),
    "D wins, held back already": (
        GAN, game(0.97, 0.03), {"lr_d": 0.25, "instance_noise": 0.5, "real_label": 0.7},
        "gan.discriminator_wins", "watch", {"penalty": "R1", "penalty_weight": 1.0},
    ),
    "D wins the hinge, which has no labels": (
        GAN, scores(curve(3.0), curve(-3.0), wasserstein=False, loss_d=curve(0.03)),
        {"loss": "hinge", "lr_d": 0.25, "instance_noise": 0.2, "real_label": 1.0},
        "gan.discriminator_wins", "watch", {"penalty": "R1", "penalty_weight": 1.0},
    ),
    "an equilibrium": (
        GAN, game(0.51, 0.5, class_entropy=curve(3.2, every=50)), {}, "gan.balance", "good", {},
    ),
    "oscillation": (
        GAN, game(0.6, swinging(0.05, 0.64)), {"beta1": 0.9}, "gan.oscillation", "bad", {"beta1": 0.5},
    ),
    "swinging scores": (
        GAN, scores(swinging(-8.0, 9.0), swinging(-9.0, 8.0)), WGAN | {"beta1": 0.5},
        "gan.oscillation", "bad", {"lr": 0.3 * GAN.recipe.lr},
    ),
    "mode collapse": (
        GAN, game(
            class_entropy=curve(1.0, 3.1, 3.0, 1.2, 1.0, every=30), distinct=curve(0.5, 0.6, 0.3, every=30)
        ), {"lr_g": 5.0}, "gan.collapse", "bad", {"lr_g": 1.0},
    ),
    "classes going": (
        GAN, LOST, {}, "gan.collapse", "watch", {"penalty": "R1", "penalty_weight": 1.0},
    ),
    "classes going under R1": (
        GAN, LOST, {"penalty": "R1", "penalty_weight": 0.5}, "gan.collapse", "watch", {"penalty_weight": 1.0},
    ),
    "classes going under more of it": (
        GAN, LOST, {"penalty": "R1", "penalty_weight": 5.0}, "gan.collapse", "watch", {"instance_noise": 0.2},
    ),
    "classes going under another penalty": (
        GAN, LOST, WGAN | {"instance_noise": 0.5}, "gan.collapse", "watch", {"lr_g": 0.5},
    ),
    "never varied": (
        GAN, game(class_entropy=curve(0.5, num=4000, every=50), d_fake=curve(0.2, num=4000)), {},
        "gan.collapse", "bad", {"penalty": "R1", "penalty_weight": 1.0},
    ),
    "scores run away": (
        GAN, scores(curve(0.0, 50.0, 400.0), curve(0.0, -50.0, -400.0)), {"loss": "wasserstein"},
        "gan.unbounded", "bad", {"penalty": "gradient penalty"},
    ),
    "no constraint": (
        GAN, scores(curve(2.0), curve(-2.0)), {"loss": "wasserstein"}, "gan.unconstrained", "watch",
        {"penalty": "gradient penalty"},
    ),
    "the estimate falls": (
        GAN, scores(curve(9.0, 6.0, 4.0), curve(-9.0, -6.0, -4.0)), WGAN, "gan.approaching", "good", {},
    ),
    "clipped weights": (
        GAN, scores(curve(90.0, 40.0), curve(-90.0, -40.0)), WGAN | {"penalty": "weight clipping"},
        "gan.approaching", "good", {},
    ),
    "D is wrong": (GAN, game(loss_d=curve(1.0, 9.0)), {"lr": 0.01}, "diverged", "bad", {"lr": 0.003}),
    "posterior collapse": (
        VAE, {"loss": curve(540.0, 207.0), "kl": curve(15.0, 0.3, 0.1), "reconstruction": curve(206.0)},
        {"beta": 20.0}, "vae.collapse", "bad", {"beta": 1.0},
    ),
    "loose codes": (
        VAE, {"loss": curve(300.0, noise=0.001), "kl": curve(150.0), "reconstruction": curve(60.0)},
        {"beta": 0.0}, "vae.loose", "watch", {"beta": 1.0},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_rule(case):
    spec, curves, switches, key, level, changes = CASES[case]
    advice = only(spec, curves, switches)
    assert (advice.key, advice.level) == (key, level)
    assert dict(advice.changes) == pytest.approx(changes) if changes else not advice.changes
    held = {*dict(advice.evidence), "class_entropy", "distinct"}
    assert advice.evidence and set(advice.limits) <= held
    validation.switches(spec, spec.recipe, advice.changes, running=True)
    standing = {switch.key: switch.default for switch in spec.switches} | switches
    assert all(standing.get(name) != value for name, value in advice.changes.items())


@pytest.mark.parametrize("family", coach.ONE_LOSS)
@pytest.mark.parametrize(("levels", "key"), [
    ((2.0, 1.5, 1.2, 1.1, 1.0), "{family}.falling"), ((2.0, 1.0, 1.0, 1.0, 1.0), "{family}.flat"),
    ((2.0, 1.0, 1.0, 1.0, 1.1), "rising"), ((2.0, 1.0, 1.0, 1.8, 2.0), "diverged"),
])  # fmt: skip
def test_a_single_loss(family, levels, key):
    advice = only(SPECS_BY_FAMILY[family], {"loss": curve(*levels, noise=0.005)})
    assert advice.key == key.format(family=family)


def test_bits_per_dimension_are_followed_before_the_loss():
    told = {"loss": curve(2.0, 1.0), "bits_per_dim": curve(1.0, noise=0.0)}
    assert keys(SPECS_BY_FAMILY["flow"], told) == ["flow.flat"]


def test_early_is_neutral_but_no_number_is_said_at_once():
    assert [(a.key, a.level) for a in coach.advise(GAN, {}, {})] == [("early", "neutral")]
    few = {name: points[: coach.ENOUGH - 1] for name, points in game(0.99, 0.001).items()}
    assert keys(GAN, few) == ["early"]
    few["loss_d"] = [*few["loss_d"][:-1], (coach.ENOUGH - 1, math.nan)]
    assert keys(GAN, few) == ["diverged"]


def test_what_was_before_a_change_does_not_count():
    fake = curve(0.002)[:500] + curve(0.2)[500:]
    assert keys(GAN, game(0.9, fake), since=540) == ["gan.balance"]
    assert keys(GAN, game(0.9, fake), since=560) == ["early"]
    faded = game(0.99, 0.005, curve(1.0)[:300] + curve(0.05)[300:])
    assert keys(GAN, faded, {"loss": "saturating"}, since=400) == ["gan.vanishing"], "nor does a peak pass"
    collapsed = game(class_entropy=curve(1.0, 3.1, 3.1, 1.0, 1.0, every=20))
    assert keys(GAN, collapsed, since=400) == ["gan.collapse"], "but what was lost by it does"


@pytest.mark.parametrize(("loss", "grad"), [
    ("saturating", curve(900.0, 500.0, 120.0)), ("non-saturating", curve(1.0, 0.1, 0.02)),
])  # fmt: skip
def test_a_gradient_has_vanished_only_where_it_is_small_and_the_loss_saturates(loss, grad):
    assert keys(GAN, game(0.99, 0.005, grad), {"loss": loss}) == ["gan.discriminator_wins"]


def test_the_game_is_not_healthy_while_what_is_known_of_the_samples_is_poor():
    for name, poor, fine in (("class_entropy", 1.0, 3.2), ("distinct", 0.1, 0.8)):
        assert symptoms.balance(Run(game(**{name: curve(poor)}), {})) is None
        assert symptoms.balance(Run(game(**{name: curve(fine)}), {})) is not None
    assert keys(GAN, game(0.97, 0.03, class_entropy=curve(1.0))) == ["gan.discriminator_wins"]


def test_curves_of_another_loss_that_ended_are_left_out():
    told = game(0.99, 0.001) | scores(curve(5.0, num=3 * NUM), curve(2.0, num=3 * NUM))
    assert "gan.discriminator_wins" not in keys(GAN, told, WGAN)


def test_the_worst_comes_first_and_nothing_is_praised_beside_it():
    told = game(
        0.99, 0.02, class_entropy=curve(1.0, 3.1, 1.0, 0.5, every=30), distinct=curve(0.6, 0.2, every=30)
    )
    levels = [advice.level for advice in coach.advise(GAN, {}, told)]
    assert levels == ["bad", "watch"]


def test_without_switches_there_is_advice_without_a_button():
    bare = SimpleNamespace(family="gan", **BARE)
    assert not only(bare, game(0.99, 0.03)).changes
    assert coach.advise(SimpleNamespace(family="other", **BARE), {}, game()) == ()


def recorded():
    names = {*registry.names("Samples"), *registry.names("Translates")}
    return [name for name in sorted(names) if registry.shipped(name)]


@pytest.mark.parametrize("name", recorded())
def test_shipped_trainings_are_never_called_bad(name):
    """Nor are they objected to at all for more than a moment."""
    try:
        curves = replay.read(name)["losses"]
    except (validation.InvalidInput, weights.WeightsError):
        pytest.skip("no replay")
    spec, last = registry.spec(name), max(points[-1][0] for points in curves.values())
    objections = []
    for share in [i / 25 for i in range(1, 26)]:
        until = {n: [p for p in points if p[0] <= share * last] for n, points in curves.items()}
        said = coach.advise(spec, {}, until)
        assert said and "bad" not in {advice.level for advice in said}, (share, said)
        objections += [advice.key for advice in said if advice.level == "watch"]
    assert len(objections) <= 2, objections
    assert "watch" not in {advice.level for advice in said}, said


def test_every_rule_and_family_has_its_words():
    wanted = {f"coach.{rule.key}.{part}" for rule in coach.RULES for part in ("title", "seen", "why", "try")}
    wanted |= {f"coach.early.{part}" for part in ("title", "seen", "why", "try")}
    wanted |= {f"coach.about.{family}" for family in coach.FAMILIES}
    for language in locale.LANGUAGES:
        assert {key for key in locale.table(language) if key.startswith("coach.")} == wanted
    assert len({rule.key for rule in coach.RULES}) == len(coach.RULES)


def test_what_is_said_of_a_blind_discriminator_was_measured():
    """Where no classifier knows the pictures, nobody has counted the classes."""
    said = dict(only(GAN, game(0.51, 0.5)).evidence)
    assert set(said) == {"d_real", "d_fake"}
    words = [locale.text("coach.gan.blind.seen", language) for language in locale.LANGUAGES]
    assert not [phrase for phrase in words if "digit" in phrase or "class" in phrase or "数字" in phrase]


def test_the_stretches_of_a_run():
    run = Run({"a": [(step, float(step)) for step in range(1, 1001)], "rare": [(1, 1.0), (950, 3.0)]}, {})
    assert (run.step, run.span) == (1000, 200)
    assert run.now("a") == pytest.approx(900.5) and run.before("a") == pytest.approx(700.5)
    assert run.now("rare") == 2.0, "of two points if the stretch holds fewer"
    assert Run({"a": [(1, 1.0)]}, {}).span == WINDOW
    swing, turns = Run({"a": swinging(0.0, 1.0)}, {}).swings("a")
    assert 0.9 < swing <= 1.0 and turns == 4


def test_the_words_name_no_curve_that_is_not_there():
    """Sentences are plain: no placeholders, which nobody would fill."""
    for language in locale.LANGUAGES:
        phrases = [v for k, v in locale.table(language).items() if k.startswith("coach.")]
        assert not [phrase for phrase in phrases if "{" in phrase or "!" in phrase]
        json.dumps(phrases)
