"""What can be seen in the curves of a training: the coach's rules, one function and its thresholds each.

Every rule holds the mean of a curve over its latest stretch (the last fifth of the run since the last change
of a switch, at least 50 updates: `trends.Run`) against a threshold that stands here, or against the stretch
before. The names of the curves decide what can be said, never the name of a model: ``d_fake`` is a
probability, ``score_fake`` an unbounded score, ``wasserstein`` an estimate of a distance, ``kl`` nats.
`playground.coach` says which rule is for which family and what helps.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from playground.trends import WINDOW, Run

# The curve to follow where one loss falls: the first there is. Where two networks learn in turn it is the
# loss of the one whose turn it is.
LIKELIHOOD = ("bits_per_dim", "nats", "loss", "prior_nats", "reconstruction")

# GANs
SURE, CERTAIN = 0.05, 0.01  # D(fake) below which D is hard, and all but impossible, to fool
FADED, VANISHED = 0.2, 0.3  # of its peak, and its length: below both, the generator's gradient has vanished
FOOLED, LOST = 0.65, 0.85  # D(fake) above which D is fooled, and of no use
SAME = 0.03  # between D(real) and D(fake): D cannot tell them apart
SWING, WIDE, TURNS = 0.35, 0.5, 3  # of D(fake), and how often it crosses its mean: an oscillation
WRONG = 5.0  # loss of a discriminator that is sure and wrong; tossing a coin costs 1.39, or 2 for the hinge
NO_MARGIN = 0.1  # hinge loss of a discriminator that is sure of nearly every picture
FEW, VERY_FEW = 2.3, 1.6  # bits of class entropy: as if 5, or 3, of 10 classes were left; all of them: 3.32
VARIED = 2.9  # bits: hardly a class is missing
ALIKE = 0.35  # distinctness of samples that repeat; real pictures have 1
VARIETY = {"class_entropy": FEW, "distinct": ALIKE}
KEPT = 0.7  # of the variety there has been: below it is a loss, above it pictures are still on their way
LATE = 3000  # updates after which pictures that never were varied are no beginning any more
SETTLED = 100  # updates before there is anything to swing, or to lose
FARTHEST = 56.0  # no two pictures of 28x28 in [-1, 1] are farther apart: no critic of slope 1 has such a gap

# Likelihoods
EMPTY = 2.0  # nats of KL below which the codes say nothing of the picture; about 30 are usual
LOOSE = 60.0  # nats of KL above which the codes leave the prior, when beta is below 1
EXPLODED = 1.5  # times its best value: a loss that will not come back by itself
FALLS, RISES = 0.003, 0.02  # relative change from one stretch to the next
DOUBT = 3.0  # standard errors that a loss must rise by: that of a diffusion model is noisy
FEW_CODES = 8.0  # words of a vocabulary that are in use: fewer cannot tell ten digits apart
TAKEN = 500  # updates in which weights taken from another model explain a loss that does not fall


class Found(NamedTuple):
    """What a rule saw: how urgent it is, the values, and the thresholds of those that have one."""

    level: str
    evidence: dict[str, float]
    limits: Mapping[str, str] = {}


def found(run: Run, level: str, limits: Mapping[str, str], *names: str) -> Found:
    """What a rule saw in these curves."""
    return Found(level, {name: run.now(name) for name in names if run.has(name)}, limits)


def gap(run: Run) -> float:
    """How much higher the critic scores real pictures."""
    return run.now("score_real") - run.now("score_fake")


def followed(run: Run) -> str | None:
    """The curve to follow, where a single loss falls."""
    return next((name for name in LIKELIHOOD if run.has(name)), None)


def turn(run: Run) -> Run:
    """The run since the turn of the network that learns now: what was before was the loss of another one."""
    name = followed(run)
    if name is None:
        return run
    first = run.curves[name][0][0]
    started = min(curve[0][0] for curve in run.curves.values() if curve)
    return replace(run, since=max(run.since, first)) if first > started + WINDOW else run


def diverged(run: Run) -> Found | None:
    """A value that is no number, a discriminator that is sure and wrong, or a loss far above its best."""
    values = {name: curve[-1][1] for name, curve in run.curves.items() if curve}
    broken = {name: value for name, value in values.items() if not math.isfinite(value)}
    if broken:
        return Found("bad", broken)
    if run.has("loss_d"):
        wrong = not run.has("wasserstein") and run.now("loss_d") > WRONG
        return found(run, "bad", {"loss_d": f"> {WRONG:g}"}, "loss_d") if wrong else None
    name = followed(run)
    if name is None:
        return None
    course = run.smooth(name)
    best, latest = min(course), min(course[-1], run.now(name))  # the mean alone is high while a loss falls
    if best <= 0 or latest < EXPLODED * best:
        return None
    return found(run, "bad", {name: f"> {EXPLODED:g} × {best:.3g}"}, name)


def vanishing(run: Run) -> Found | None:
    """D is sure, and the gradient of the saturating loss has faded, whatever was changed since its peak."""
    saturates = run.switches.get("loss") == "saturating"
    if not saturates or not run.has("d_fake", "grad_g") or run.now("d_fake") > SURE:
        return None
    limit = min(VANISHED, FADED * run.peak("grad_g"))
    limits = {"d_fake": f"< {SURE:g}", "grad_g": f"< {limit:.2g}"}
    return found(run, "bad", limits, "d_fake", "grad_g") if run.now("grad_g") < limit else None


def discriminator_wins(run: Run) -> Found | None:
    """D(fake) near 0; under the hinge loss, every picture beyond the margin."""
    if run.has("d_fake"):
        if run.now("d_fake") > SURE or vanishing(run):
            return None
        level = "bad" if run.now("d_fake") < CERTAIN else "watch"
        return found(run, level, {"d_fake": f"< {SURE:g}"}, "d_fake", "d_real", "grad_g")
    if not run.has("score_fake", "loss_d") or run.has("wasserstein") or run.now("loss_d") > NO_MARGIN:
        return None
    return found(run, "watch", {"loss_d": f"< {NO_MARGIN:g}"}, "loss_d", "score_fake")


def generator_wins(run: Run) -> Found | None:
    """D(fake) near 1, or fakes that score above real pictures."""
    if run.has("d_fake"):
        if run.now("d_fake") < FOOLED:
            return None
        level = "bad" if run.now("d_fake") > LOST else "watch"
        return found(run, level, {"d_fake": f"> {FOOLED:g}"}, "d_fake", "d_real")
    if not run.has("score_real", "score_fake") or gap(run) >= 0 or unbounded(run):
        return None
    return found(run, "watch", {"score_fake": "> score_real"}, "score_fake", "score_real")


def alone(run: Run) -> Found | None:
    """Only one of the two players learns."""
    if run.has("loss_d") == run.has("loss_g"):
        return None
    return found(run, "neutral", {}, "loss_d", "loss_g", "d_real", "d_fake", "score_real", "score_fake")


def blind(run: Run) -> Found | None:
    """D(real) = D(fake), and no class entropy that says all classes are there: D may be blind."""
    if not run.has("d_real", "d_fake") or (run.has("class_entropy") and run.now("class_entropy") > VARIED):
        return None
    if abs(run.now("d_real") - run.now("d_fake")) > SAME or not SURE < run.now("d_fake") < FOOLED:
        return None
    limits = {"d_fake": f"d_real ± {SAME:g}", "class_entropy": f"< {VARIED:g}"}
    return found(run, "watch", limits, "d_fake", "d_real", "class_entropy")


def oscillation(run: Run) -> Found | None:
    """D(fake), or the scores, swing to and fro instead of settling."""
    name = next((name for name in ("d_fake", "score_fake") if run.has(name)), None)
    if name is None or run.num < SETTLED or unbounded(run):
        return None
    swing, turns = run.swings(name)
    limit = SWING if name == "d_fake" else 2 * abs(gap(run)) + 1
    if swing < limit or turns < TURNS:
        return None
    level = "bad" if name == "score_fake" or swing > WIDE else "watch"
    return Found(level, {name: run.now(name), "swing": swing, "turns": turns}, {"swing": f"> {limit:.2g}"})


def collapse(run: Run) -> Found | None:
    """Classes that were there are gone, or samples repeat that were different; or neither ever came."""
    low = {
        name: run.now(name)
        for name, limit in VARIETY.items()
        if run.has(name) and run.now(name) < min(limit, max(KEPT * run.peak(name), limit * (run.step > LATE)))
    }
    if not low or run.step < SETTLED:
        return None
    level = "bad" if low.get("class_entropy", VERY_FEW) < VERY_FEW or len(low) == 2 else "watch"
    return found(run, level, _poor(), *VARIETY)


def _poor() -> dict[str, str]:
    return {name: f"< {limit:g}" for name, limit in VARIETY.items()}


def unvaried(run: Run) -> Found | None:
    """Neither player wins, but the samples are of few kinds or alike; said only when nothing else is."""
    low = any(run.has(name) and run.now(name) < limit for name, limit in VARIETY.items())
    return found(run, "neutral", _poor(), *VARIETY) if low and run.has("loss_d", "loss_g") else None


def unbounded(run: Run) -> Found | None:
    """The scores are farther apart, or swing farther, than any critic of slope 1 could make them."""
    clipped = run.switches.get("penalty") == "weight clipping"  # bounded, by another constant than 1
    if clipped or not run.has("score_real", "score_fake"):
        return None
    swing = run.swings("wasserstein")[0] if run.has("wasserstein") else 0.0
    if max(abs(gap(run)), swing) < FARTHEST:
        return None
    evidence = {"score_real": run.now("score_real"), "score_fake": run.now("score_fake"), "gap": gap(run)}
    limit = f"> {FARTHEST:g}"
    return Found("bad", evidence | {"swing": swing}, {"gap": limit, "swing": limit})


def unconstrained(run: Run) -> Found | None:
    """The Wasserstein loss, and nothing that keeps the critic's slope bounded."""
    free = run.switches.get("penalty") == "none" and not run.switches.get("spectral_norm")
    if not run.has("wasserstein") or not free or unbounded(run):
        return None
    return found(run, "watch", {}, "wasserstein")


def approaching(run: Run) -> Found | None:
    """The Wasserstein estimate falls."""
    if not run.has("wasserstein") or run.now("wasserstein") >= (1 - FALLS) * run.before("wasserstein"):
        return None
    return found(run, "good", {"wasserstein": f"< {run.before('wasserstein'):.3g}"}, "wasserstein")


def balance(run: Run) -> Found | None:
    """Neither player wins, and samples are varied as far as is known; said only when nothing else is."""
    if not run.has("loss_d", "loss_g") or unvaried(run):
        return None
    return found(run, "good", {}, "d_real", "d_fake", "score_real", "score_fake", "class_entropy")


def empty_codes(run: Run) -> Found | None:
    """Posterior collapse: KL near 0."""
    if not run.has("kl") or run.now("kl") > EMPTY:
        return None
    return found(run, "bad", {"kl": f"< {EMPTY:g}"}, "kl", "reconstruction")


def loose_codes(run: Run) -> Found | None:
    """KL is large because it weighs little."""
    if not run.has("kl") or run.now("kl") < LOOSE or run.switches.get("beta", 1) >= 1:
        return None
    return found(run, "watch", {"kl": f"> {LOOSE:g}"}, "kl", "reconstruction")


def few_codes(run: Run) -> Found | None:
    """Most words of the vocabulary are never used."""
    if not run.has("codes_used") or run.num < SETTLED or run.now("codes_used") > FEW_CODES:
        return None
    return found(run, "watch", {"codes_used": f"< {FEW_CODES:g}"}, "codes_used", "reconstruction")


def inherited(run: Run) -> Found | None:
    """The loss does not fall yet, and is that of weights which another model has learnt."""
    name = followed(run)
    if name is None or run.step > TAKEN or falling(run) or diverged(run):
        return None
    return found(run, "neutral", {name: f"= {run.before(name):.4g}"}, name)


def rising(run: Run) -> Found | None:
    """The loss goes up from one stretch to the next, by more than chance."""
    name = followed(run)
    if name is None or diverged(run):
        return None
    least = max(RISES * abs(run.before(name)), DOUBT * run.doubt(name))
    if run.now(name) < run.before(name) + least:
        return None
    return found(run, "watch", {name: f"> {run.before(name):.4g}"}, name)


def falling(run: Run) -> Found | None:
    """The loss still goes down from one stretch to the next."""
    name = followed(run)
    if name is None or run.now(name) > run.before(name) - FALLS * abs(run.before(name)):
        return None
    return found(run, "good", {name: f"< {run.before(name):.4g}"}, name)


def flat(run: Run) -> Found | None:
    """The loss stays where it is."""
    name = followed(run)
    if name is None or falling(run) or rising(run) or diverged(run):
        return None
    return found(run, "good", {name: f"= {run.before(name):.4g} ± {FALLS:.1%}"}, name)
