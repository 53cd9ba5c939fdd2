"""The training coach: what is seen in the curves of a run, why it happens and what to try next, as a table.

A row names a rule of `playground.symptoms`, the families it is for, and remedies, the best first: the coach
offers the first one that the model has switches for, that fits what the others stand at and that is not in
place already. A number is a direction, so that a remedy never takes back what it is after. The words are in
``locale/*/coach.json``: ``coach.KEY.title``, ``.seen``, ``.why`` and ``.try``; and for every family
``coach.about.FAMILY``, what its curves should look like and when to stop. What a model does counts
beside its family: that it learns codes, which takes two turns, or to translate there and back, which takes
two games at once; and that it starts from another's weights.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from playground import schedules, symptoms, symptoms_cycle
from playground.spec import ModelSpec, Switch
from playground.symptoms import Found
from playground.trends import Run

ENOUGH = 50  # updates before anything can be said
LEVELS = ("bad", "watch", "neutral", "good")  # the most urgent first
CODES = "codes"  # models that learn a vocabulary, whatever their family: two networks learn in turn
STARTED = "started"  # models that start from the weights of another one
ONE_LOSS = ("vae", "flow", "autoregressive", "diffusion", CODES)  # families in which one loss falls
GAMES = ("gan", "hybrid")  # families in which two networks play: a hybrid's generator is a GAN's as well
CYCLE = "cycle"  # models that translate there and back: four networks, and losses of another meaning
FAMILIES = (*GAMES, *ONE_LOSS, CYCLE)

Change = Mapping[str, Any]


@dataclass(frozen=True)
class Advice:
    """One thing the coach says.

    Attributes:
        key: its words are ``coach.KEY.title``, ``.seen``, ``.why`` and ``.try``.
        level: ``bad``, ``watch``, ``neutral`` (too early to say) or ``good``.
        evidence: (name of the curve, its value over the latest stretch).
        changes: switches that would help and their new values; empty when there is nothing to turn.
        limits: what a value of the evidence was held against, by its name, such as ``< 0.05``.
    """

    key: str
    level: str
    evidence: tuple[tuple[str, float], ...]
    changes: Change
    limits: Mapping[str, str]


class Times(NamedTuple):
    """The value a remedy gives a switch: what it stands at times a factor, but not beyond a limit."""

    factor: float
    limit: float

    def of(self, now: float) -> float:
        """The new value, of the same type; the same one where it is beyond the limit already."""
        if self.factor < 1:
            return type(now)(min(now, max(now * self.factor, self.limit)))
        return type(now)(max(now, min(now * self.factor, self.limit)))


class AtLeast(NamedTuple):
    """The value a remedy gives a switch that may be too low."""

    limit: float

    def of(self, now: float) -> float:
        """The limit, or what it stands at where that is more."""
        return max(now, self.limit)


class AtMost(NamedTuple):
    """The value a remedy gives a switch that may be too high."""

    limit: float

    def of(self, now: float) -> float:
        """The limit, or what it stands at where that is less."""
        return min(now, self.limit)


class Where(NamedTuple):
    """A remedy that helps only where switches stand at certain values."""

    fits: Mapping[str, Sequence[str]]
    change: Change


Direction = Times | AtLeast | AtMost
Remedy = Change | Where


class Rule(NamedTuple):
    """One row: what is said, in which families, when, and what helps."""

    key: str
    families: Sequence[str]
    check: Callable[[Run], Found | None]
    remedies: Sequence[Remedy] = ()
    silences: Sequence[str] = ()  # keys that are not said beside it: what it explains already


SLOWER: Change = {"lr": Times(0.3, 1e-5)}
COSINE = Where({"decay": ("none",)}, {"decay": "cosine"})
R1 = (  # it gives way to a penalty in place, and the Wasserstein loss asks for another one
    Where(
        {"penalty": ("none",), "loss": ("non-saturating", "saturating", "hinge", "least-squares")},
        {"penalty": "R1", "penalty_weight": 1.0},
    ),
    Where({"penalty": ("R1",)}, {"penalty_weight": AtLeast(1.0)}),
)
CONSTRAINT = (
    Where({"penalty": ("none", "R1")}, {"penalty": "gradient penalty", "penalty_weight": 10.0}),
    Where({"penalty": ("gradient penalty",)}, {"penalty_weight": AtLeast(10.0)}),
)
NOISE: Change = {"instance_noise": AtLeast(0.2)}
WEAKER_D: Sequence[Remedy] = (
    {"d_steps": AtMost(1)}, {"lr_d": Times(0.5, 0.25)}, NOISE, {"real_label": AtMost(0.9)}, *R1,
)  # fmt: skip
STRONGER_D: Sequence[Remedy] = ({"lr_d": Times(2, 2)}, {"d_steps": Times(2, 4)})
SLOWER_G: Change = {"lr_g": Times(0.5, 0.25)}

RULES = (
    Rule("diverged", FAMILIES, symptoms.diverged, (SLOWER,)),
    Rule("gan.unbounded", GAMES, symptoms.unbounded, (*CONSTRAINT, {"lr_d": Times(0.5, 0.25)})),
    Rule("gan.vanishing", GAMES, symptoms.vanishing, ({"loss": "non-saturating"}, *WEAKER_D)),
    Rule("gan.collapse", GAMES, symptoms.collapse, (
        {"lr_g": AtMost(1.0)}, *R1, NOISE, SLOWER_G, *STRONGER_D,
    )),
    Rule("gan.oscillation", GAMES, symptoms.oscillation, (
        {"beta1": AtMost(0.5)}, {"lr_g": AtMost(1.0), "lr_d": AtMost(1.0)}, *R1, SLOWER,
    )),
    Rule("gan.discriminator_wins", GAMES, symptoms.discriminator_wins, WEAKER_D),
    Rule("gan.generator_wins", GAMES, symptoms.generator_wins, (SLOWER_G, *STRONGER_D)),
    Rule("gan.alone", GAMES, symptoms.alone, silences=(
        "gan.discriminator_wins", "gan.generator_wins", "gan.blind",
    )),
    Rule("gan.blind", ("gan",), symptoms.blind, (
        {"instance_noise": AtMost(0.0)}, {"real_label": AtLeast(1.0)}, *STRONGER_D,
    )),
    Rule("gan.unconstrained", GAMES, symptoms.unconstrained, CONSTRAINT),
    Rule("gan.approaching", GAMES, symptoms.approaching),
    Rule("gan.unvaried", GAMES, symptoms.unvaried),
    Rule("gan.balance", GAMES, symptoms.balance),
    Rule("vae.collapse", ("vae",), symptoms.empty_codes, ({"beta": AtMost(1.0)}, {"beta": Times(0.3, 0.3)})),
    Rule("vae.loose", ("vae",), symptoms.loose_codes, ({"beta": AtLeast(1.0)},)),
    Rule("cycle.untied", (CYCLE,), symptoms_cycle.untied, ({"lambda_cycle": AtLeast(10.0)},)),
    Rule("cycle.seen_through", (CYCLE,), symptoms_cycle.seen_through, ({"lr_d": Times(0.5, 0.25)},)),
    Rule("cycle.losing_the_way", (CYCLE,), symptoms_cycle.losing_the_way, (
        {"lambda_cycle": Times(2, 20.0)}, SLOWER,
    )),
    Rule("cycle.returning", (CYCLE,), symptoms_cycle.returning),
    Rule("cycle.returned", (CYCLE,), symptoms_cycle.returned),
    Rule("codes.few", (CODES,), symptoms.few_codes),
    Rule("inherited", (STARTED,), symptoms.inherited, silences=("rising",)),
    Rule("rising", ONE_LOSS, symptoms.rising, (SLOWER,)),
    *(Rule(f"{family}.falling", (family,), symptoms.falling) for family in ONE_LOSS),
    *(Rule(f"{family}.flat", (family,), symptoms.flat, (COSINE,)) for family in ONE_LOSS),
)  # fmt: skip


def family(spec: ModelSpec) -> str:
    """Which of `FAMILIES` the coach takes a model for."""
    if "HasCodes" in spec.capabilities:
        return CODES
    there_and_back = "Translates" in spec.capabilities and len(getattr(spec.model, "directions", ())) > 1
    return CYCLE if there_and_back else spec.family


def advise(
    spec: ModelSpec,
    switches: Mapping[str, Any],
    curves: Mapping[str, Sequence[Sequence[float]]],
    since: float = 0,
) -> tuple[Advice, ...]:
    """What the coach says of a run, the most urgent first; praise only when there is nothing to object to.

    Args:
        spec: of the model in training.
        switches: what its switches stand at; those left out stand at their defaults.
        curves: for every name its (step, value) points, as `JobView.losses` has them.
        since: the update of the last change of a switch.

    Returns:
        At least one advice, unless the family has no rules.
    """
    known = {switch.key: switch for switch in schedules.switches_of(spec, spec.recipe)}
    standing = {key: switch.default for key, switch in known.items()} | dict(switches)
    run = symptoms.turn(Run(curves, standing, since))
    tags = {family(spec), STARTED if spec.starts_from else ""}
    rules = [rule for rule in RULES if tags & set(rule.families)]
    broken = symptoms.diverged(run) if run.step else None
    if run.num < ENOUGH and broken is None:
        early = Advice("early", "neutral", (("step", run.step),), {}, {"step": f"< {run.since + ENOUGH:g}"})
        return (early,) if rules else ()
    if broken is not None:  # nothing else can be trusted
        rules = [rule for rule in rules if rule.check is symptoms.diverged]
    said = [_advice(rule, seen, known, standing) for rule in rules if (seen := rule.check(run)) is not None]
    silent = {key for rule in rules for key in rule.silences if any(a.key == rule.key for a in said)}
    said = [advice for advice in said if advice.key not in silent]
    worst = [advice for advice in said if advice.level != "good"] or said
    if len(worst) > 1:  # "neither wins" is what remains to be said when nothing else is
        worst = [advice for advice in worst if advice.key not in ("gan.unvaried", "gan.balance")]
    return tuple(sorted(worst, key=lambda advice: LEVELS.index(advice.level)))


def _advice(rule: Rule, seen: Found, known: Mapping[str, Switch], standing: Change) -> Advice:
    changes = (turned(remedy, known, standing) for remedy in rule.remedies)
    first: Change = next((change for change in changes if change), {})
    return Advice(rule.key, seen.level, tuple(seen.evidence.items()), first, seen.limits)


def turned(remedy: Remedy, known: Mapping[str, Switch], standing: Change) -> Change:
    """What a remedy would turn: nothing where it does not fit, is in place, or would have no effect."""
    fits, change = remedy if isinstance(remedy, Where) else ({}, remedy)
    if any(key not in known or not known[key].live for key in change):
        return {}
    if any(standing.get(key) not in values for key, values in fits.items()):
        return {}
    values = {key: to.of(standing[key]) if isinstance(to, Direction) else to for key, to in change.items()}
    changes = {key: value for key, value in values.items() if value != standing[key]}
    after = standing | changes
    needed = [need for key in changes for need in known[key].needs if need[0] in known]
    return changes if all(after[other] in having for other, having in needed) else {}
