"""Curves of trainings that never were, and what the coach says of them."""

import math
import random

from tiny import SPEC

from playground import coach, registry

NUM = 600
GANS = [name for name in registry.names("Samples") if registry.spec(name).family in coach.GAMES]
GAN = registry.spec(GANS[0])
VAE = next(spec for spec in map(registry.spec, registry.names("Encodes")) if spec.family == "vae")


SPECS_BY_FAMILY = {coach.family(spec): spec for spec in map(registry.spec, registry.names("Samples"))}
BARE = {"switches": (), "recipe": SPEC.recipe, "capabilities": (), "starts_from": None}


def curve(*levels, num=NUM, noise=0.02, every=1, seed=0):
    """A curve through some levels at equal distances, with noise relative to each value."""
    rng, points = random.Random(seed), []
    for step in range(every, num + 1, every):
        place = step / num * (len(levels) - 1)
        left = min(int(place), len(levels) - 2) if len(levels) > 1 else 0
        right = min(left + 1, len(levels) - 1)
        value = levels[left] + (levels[right] - levels[left]) * (place - left)
        points.append((step, value * (1 + noise * rng.gauss(0, 1))))
    return points


def game(real=0.75, fake=0.2, grad=1.0, **more):
    """The curves of a balanced game but for what is given."""
    given = {
        "loss_d": curve(0.9),
        "loss_g": curve(1.8),
        "d_real": real,
        "d_fake": fake,
        "grad_g": grad,
    } | more
    return {name: curve(value) if isinstance(value, float) else value for name, value in given.items()}


def scores(real, fake, *, wasserstein=True, loss_d=None):
    gap = [(step, a - b) for (step, a), (_, b) in zip(real, fake, strict=True)]
    told = {"loss_d": loss_d or [(step, -value) for step, value in gap], "loss_g": curve(1.0)}
    told |= {"score_real": real, "score_fake": fake}
    return told | ({"wasserstein": gap} if wasserstein else {})


def keys(spec, curves, switches=None, since=0):
    return [advice.key for advice in coach.advise(spec, switches or {}, curves, since)]


def only(spec, curves, switches=None, since=0):
    """The one thing the coach says."""
    (advice,) = coach.advise(spec, switches or {}, curves, since)
    return advice


def swinging(low, high, period=100, num=NUM):
    middle, half = (low + high) / 2, (high - low) / 2
    return [(step, middle + half * math.sin(2 * math.pi * step / period)) for step in range(1, num + 1)]
