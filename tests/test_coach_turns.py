"""The coach and models that learn otherwise: two networks in turn, weights of a teacher, one player alone."""

from types import SimpleNamespace

import pytest
from coach_helpers import BARE, GAN, NUM, SPECS_BY_FAMILY, VAE, curve, game, keys

from playground import coach

TAUGHT = SimpleNamespace(family="diffusion", **(BARE | {"starts_from": "teacher"}))


def test_a_loss_that_starts_high_and_falls_fast_has_not_diverged():
    """The mean over the first stretch is far above the latest values, which are the best so far."""
    fast = [(step, 540 / step**0.5) for step in range(1, 81)]
    assert keys(VAE, {"loss": fast}) == ["vae.falling"] and keys(VAE, {"loss": fast[:40]}) == ["early"]
    back = fast + [(step, 400.0) for step in range(81, 140)]
    assert keys(VAE, {"loss": back}) == ["diverged"]


def test_a_noisy_loss_rises_only_beyond_chance():
    spec = SimpleNamespace(family="diffusion", **BARE)
    assert keys(spec, {"loss": curve(1.0, 1.0, 1.0, 1.0, 1.1, noise=0.01)}) == ["rising"]
    noisy = [curve(1.0, num=150, noise=0.2, seed=seed) for seed in range(20)]
    assert {key for loss in noisy for key in keys(spec, {"loss": loss})} <= {
        "diffusion.falling",
        "diffusion.flat",
    }


def test_a_second_network_has_a_beginning_of_its_own():
    """Its loss is another quantity: a jump at the change of turns is no divergence."""
    spec = SPECS_BY_FAMILY[coach.CODES]
    first = {"reconstruction": curve(400.0, 60.0, 55.0), "codes_used": curve(40.0)}
    assert keys(spec, first) == ["codes.falling"]
    prior = curve(200.0, 120.0, 110.0, 105.0)
    turn = [(NUM + step, value) for step, value in prior]
    assert keys(spec, first | {"prior_nats": turn[:30]}) == ["early"]
    assert keys(spec, first | {"prior_nats": turn[:300]}) == ["codes.falling"]
    gone = [(step, value if step < NUM + 400 else 300.0) for step, value in turn]
    assert keys(spec, first | {"prior_nats": gone}) == ["diverged"]


def test_a_vocabulary_that_is_not_used():
    told = {"reconstruction": curve(100.0, 90.0), "codes_used": curve(3.0)}
    assert keys(SPECS_BY_FAMILY[coach.CODES], told) == ["codes.few"]


def test_weights_of_a_teacher_explain_a_loss_that_does_not_fall():
    assert keys(TAUGHT, {"loss": curve(0.02, num=200, noise=0.001)}) == ["inherited"]
    assert keys(TAUGHT, {"loss": curve(0.02, 0.02, 0.022, num=200, noise=0.001)}) == ["inherited"]
    assert keys(TAUGHT, {"loss": curve(0.02, 0.015, num=200, noise=0.001)}) == ["diffusion.falling"]
    late = curve(0.02, 0.02, 0.02, 0.02, 0.024, num=2000, noise=0.001)
    assert keys(TAUGHT, {"loss": late}) == ["rising"]
    assert keys(TAUGHT, {"loss": curve(0.02, 0.02, 0.06, num=200)}) == ["diverged"]


@pytest.mark.parametrize("player", ["loss_d", "loss_g"])
def test_one_player_alone_neither_wins_nor_plays_a_healthy_game(player):
    for told in (game(0.98, 0.02), game(0.5, 0.5), game(0.9, 0.9)):
        del told[player], told["grad_g"]
        assert [(a.key, a.level) for a in coach.advise(GAN, {}, told)] == [("gan.alone", "neutral")]


def test_a_discriminator_of_noisy_pictures_may_see_no_difference():
    """Of pure noise there is none to see, so a hybrid's verdicts may be equal."""
    hybrid = SimpleNamespace(family="hybrid", **BARE)
    assert keys(hybrid, game(0.51, 0.5)) == ["gan.balance"]
    assert keys(GAN, game(0.51, 0.5)) == ["gan.blind"]
