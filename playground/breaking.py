"""Experiments that go wrong on purpose: how each is set up, what its symptom is, and what might repair it.

An experiment is data. It trains a model of the registry through its acts, each so many updates under some
switches; then a number, the symptom, says whether it broke. A fix turns switches, the training goes on for as
many updates again, and the same number says whether it helped: nothing here is right because it is written
down. The words are in ``locale/*/break_it.json`` under ``break_it.KEY.*``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

from playground import registry
from playground.job import Request
from playground.trends import Curve, Run

FINE = "fine"  # the outcome of an experiment that did not break

Change = Mapping[str, Any]


@dataclass(frozen=True)
class Symptom:
    """The number that tells broken from healthy, taken over the latest stretch of a curve.

    Attributes:
        curve: its name.
        threshold: between the two.
        above: whether healthy values are above it.
        swing: the number is how far the curve swings, not its mean.
    """

    curve: str
    threshold: float
    above: bool
    swing: bool = False

    def measure(self, curves: Mapping[str, Curve], since: float) -> float | None:
        """The number since an update; None while there is nothing to take it from."""
        run = Run(curves, {}, since)
        if not run.has(self.curve):
            return None
        return run.swings(self.curve)[0] if self.swing else run.now(self.curve)

    def healthy(self, value: float) -> bool:
        """On which side of the threshold a value is."""
        return (value > self.threshold) == self.above

    def limit(self) -> str:
        """What a healthy value is."""
        return f"{'>' if self.above else '<'} {self.threshold:g}"


@dataclass(frozen=True)
class Experiment:
    """One preset.

    Attributes:
        key: of its words.
        model: the name of the model it trains; without that model there is no such experiment.
        recipe: hyper-parameters that differ from the model's.
        acts: (updates, switches to turn before them), in turn; it breaks during the last.
        symptom: what is measured at the end of the last act, and of every fix.
        answer: the outcome, if it breaks.
        outcomes: what may be predicted, the answer and `FINE` among them.
        fixes: changes to try, by the key of their words.
        fix_steps: updates after which a fix is judged.
        charts: curves to show beside the losses.
    """

    key: str
    model: str
    recipe: Change
    acts: Sequence[tuple[int, Change]]
    symptom: Symptom
    answer: str
    outcomes: Sequence[str]
    fixes: Mapping[str, Change]
    fix_steps: int
    charts: Sequence[str] = field(default=())

    @property
    def num_steps(self) -> int:
        """Updates until it is judged."""
        return sum(num for num, _ in self.acts)

    @property
    def last_act(self) -> int:
        """The update after which the last act begins."""
        return self.num_steps - self.acts[-1][0]

    def rest(self, step: int) -> int:
        """The update after which the act under way ends, where the training rests."""
        ends = accumulate(num for num, _ in self.acts)
        return next((end for end in ends if end > step), self.num_steps)

    def shorter(self, share: float) -> "Experiment":
        """The same with a share of the updates, for a glance; it may not have the time to break."""
        acts = tuple((max(1, round(share * num)), switches) for num, switches in self.acts)
        return replace(self, acts=acts, fix_steps=max(1, round(share * self.fix_steps)))

    def request(self, seed: int) -> Request:
        """The training, with room for every fix to be tried once."""
        spec = registry.spec(self.model)
        total = self.num_steps + (len(self.fixes) + 1) * self.fix_steps
        return Request(
            spec, spec.dataset, replace(spec.recipe, num_steps=total, **self.recipe), seed,
            switches=self.acts[0][1],
        )  # fmt: skip

    def standing(self, step: int) -> Change:
        """The switches that the acts have turned by an update, of all acts so far."""
        values: dict[str, Any] = {}
        begin = 0
        for num, switches in self.acts:
            if step >= begin:
                values |= switches
            begin += num
        return values

    def fix(self, key: str) -> Change:
        """What to turn for a fix: its changes, and back what another fix has turned."""
        spec = registry.spec(self.model)
        recipe = {name: value for name, value in self.recipe.items() if name in ("lr", "decay")}
        before = {"lr": spec.recipe.lr, "decay": spec.recipe.decay} | recipe
        before |= {switch.key: switch.default for switch in spec.switches if switch.live}
        before |= self.standing(self.num_steps)
        turned = {name for changes in self.fixes.values() for name in changes}
        return {name: before[name] for name in turned} | dict(self.fixes[key])

    def outcome(self, value: float) -> str:
        """What happened, by the symptom's value."""
        return FINE if self.symptom.healthy(value) else self.answer


EXPERIMENTS = (
    Experiment(
        "vanishing", "gan", {"batch_size": 64, "decay": "none"},
        ((200, {"loss": "saturating", "d_steps": 5, "lr_g": 0.3}),),
        Symptom("grad_g", 0.3, above=True), "vanish", ("swing", "vanish", "runaway", FINE),
        {
            "steps": {"d_steps": 10}, "loss": {"loss": "non-saturating"},
            "slower": {"lr": 5e-5},
        }, 100, ("d_real", "d_fake", "grad_g"),
    ),
    Experiment(
        "collapse", "dcgan", {"batch_size": 32, "decay": "none", "ema": 0.0, "lr": 1e-3},
        ((100, {}), (80, {"players": "generator"})),
        Symptom("class_entropy", 2.0, above=True), "collapse", ("better", "swing", "collapse", FINE),
        {"slower": {"lr_g": 0.3}, "noise": {"instance_noise": 0.3}, "both": {"players": "both"}},
        100, ("loss_g", "class_entropy", "distinct"),
    ),
    Experiment(
        "oscillation", "gan", {"batch_size": 64, "decay": "none"},
        ((260, {"beta1": 0.9, "lr_g": 4.0, "lr_d": 4.0}),),
        Symptom("loss_g", 3.0, above=False, swing=True), "swing", ("collapse", "swing", "vanish", FINE),
        {
            "momentum": {"beta1": 0.5, "lr_g": 0.5, "lr_d": 0.5}, "faster": {"lr_d": 8.0},
            "longer": {"beta1": 0.97},
        }, 220, ("d_real", "d_fake"),
    ),
    Experiment(
        "runaway", "gan", {"batch_size": 64, "decay": "none"},
        ((250, {"loss": "wasserstein", "penalty": "none"}),),
        Symptom("wasserstein", 56.0, above=False, swing=True), "runaway",
        ("runaway", "vanish", "better", FINE),
        {
            "steps": {"d_steps": 5}, "slower": {"lr_d": 0.5},
            "penalty": {"penalty": "gradient penalty", "penalty_weight": 10.0},
        }, 150, ("score_real", "score_fake", "wasserstein"),
    ),
    Experiment(
        "posterior", "vae", {"batch_size": 64, "decay": "none", "ema": 0.0, "warmup": 10},
        ((120, {"beta": 20.0}),),
        Symptom("kl", 5.0, above=True), "empty", ("better", "noise", "empty", FINE),
        {"faster": {"lr": 4e-3}, "beta": {"beta": 1.0}, "less": {"beta": 10.0}},
        150, ("kl", "reconstruction"),
    ),
)  # fmt: skip


def available() -> dict[str, Experiment]:
    """The experiments whose model there is, by key."""
    names = set(registry.names("Samples"))
    return {experiment.key: experiment for experiment in EXPERIMENTS if experiment.model in names}
