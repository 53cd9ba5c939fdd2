"""The HTML of the Break it tab: the choice of an experiment, the prediction, the verdict and the repairs."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from playground import breaking, coach, registry
from playground.breaking import FINE, Experiment
from playground.coach import Advice
from playground.job import FINAL, JobView
from playground.locale import both, spans
from playground.svg import short
from playground.tabs import train_charts, train_panel
from playground.tabs.pieces import page
from playground.tabs.train_charts import reading
from playground.tabs.train_panel import named
from playground.tabs.train_request import told_value

STYLE = page("break_it.css")
SCRIPT = page("break_it.js")


@dataclass(frozen=True)
class Progress:
    """How far a visitor is with an experiment; a copy takes its place with every step.

    Attributes:
        key: of the experiment.
        guess: the outcome that was predicted.
        job: the training's id, once it runs.
        before: the symptom at the end of the last act, once it is known.
        seen: what the coach said then.
        fix: the change that is being tried.
        since: the update at which it was made.
        tried: (key of a fix, the symptom after it), in turn.
        shorter: the experiment itself where it is not the one as it stands in the list.
    """

    key: str
    guess: str = ""
    job: str = ""
    before: float | None = None
    seen: tuple[Advice, ...] = ()
    fix: str = ""
    since: int = 0
    tried: tuple[tuple[str, float | None], ...] = field(default=())
    shorter: Experiment | None = None

    @property
    def experiment(self) -> Experiment:
        """The experiment."""
        return self.shorter or breaking.available()[self.key]

    @property
    def until(self) -> int:
        """The update after which it is judged."""
        experiment = self.experiment
        return self.since + experiment.fix_steps if self.fix else experiment.num_steps

    def rest(self, step: int) -> int:
        """The update after which the training rests next."""
        return self.until if self.fix else self.experiment.rest(step)

    @property
    def begun(self) -> int:
        """The update after which what is judged began."""
        return self.since if self.fix else self.experiment.last_act


def board(progress: Progress) -> str:
    """The choice, what is set up, and the prediction."""
    experiment = progress.experiment
    cards = "".join(
        _button("choose", key, f"<b>{both(f'break_it.{key}.title')}</b><small>{_title(other)}</small>",
                key == progress.key, False)
        for key, other in breaking.available().items()
    )  # fmt: skip
    spec, locked = registry.spec(experiment.model), bool(progress.job)
    guesses = "".join(
        _button("guess", key, both(f"break_it.outcome.{key}"), key == progress.guess, locked)
        for key in experiment.outcomes
    )
    acts = "".join(f"<li>{_act(num, named(switches, spec))}</li>" for num, switches in experiment.acts)
    recipe = "; ".join(
        f"{both(f'break_it.recipe.{key}')} {spans(told_value(value))}"
        for key, value in experiment.recipe.items()
    )
    return (
        f'<div class="board"><p class="pg-intro">{both("break_it.about")}</p>'
        f'<div class="choice">{cards}</div>'
        f"<section><h3><i>1</i>{both('break_it.setup')}</h3><p>{both(f'break_it.{experiment.key}.setup')}</p>"
        f"<ol>{acts}</ol><p class='pg-dim'>{recipe}</p></section>"
        f'<section><h3><i>2</i>{both("break_it.predict")}</h3><div class="guesses">{guesses}</div></section>'
        "</div>"
    )


def _title(experiment: Experiment) -> str:
    return html.escape(registry.spec(experiment.model).title)


def _act(num: int, turned: str) -> str:
    return f"{both('break_it.updates', num=num)} {turned or both('break_it.as_usual')}"


def _button(act: str, key: str, label: str, pressed: bool, disabled: bool) -> str:
    """A choice; the page's script tells the server which one was pressed."""
    state = f'aria-pressed="{str(pressed).lower()}"{" disabled" if disabled else ""}'
    return f'<button type="button" data-act="{act}" data-key="{key}" {state}>{label}</button>'


def shown(view: JobView, progress: Progress) -> JobView:
    """A job as this tab shows it: what is left until the next verdict; its model is offered nowhere."""
    event = view.event
    if event is None:
        return replace(view, usable=False)
    begin = progress.since if progress.fix else 0
    share = min(1.0, max(0, event.step - begin) / max(1, progress.until - begin))
    left = max(0, progress.until - event.step) * view.request.recipe.batch_size
    eta = left / max(event.images_per_second, 1e-9)
    event = replace(event, num_steps=max(progress.until, event.step), progress=share)
    return replace(view, event=event, eta=eta, usable=False)


def figures(view: JobView | None, progress: Progress) -> str:
    """The curves that matter to this experiment."""
    wanted = set(progress.experiment.charts)
    charts = [chart for chart in train_charts.CHARTS if wanted & set(chart.names)]
    if not charts:
        return ""
    losses, changes = ({}, ()) if view is None else (view.losses, view.changes)
    end = max(progress.until, view.event.step if view and view.event else 1)
    drawn = "".join(train_charts.small_chart(chart, losses, end, changes) for chart in charts)
    return f'<div class="multiples">{drawn}</div>'


def verdict(view: JobView, progress: Progress) -> str:
    """What happened, whether it was predicted, why, and the repairs; empty until the last act is over."""
    experiment, value = progress.experiment, progress.before
    if value is None:
        return _stopped(view) if view.state in FINAL else ""
    outcome = experiment.outcome(value)
    right = "right" if outcome == progress.guess else "wrong"
    mend = f"<section><h3><i>4</i>{both('break_it.repair')}</h3>{repairs(view, progress)}</section>"
    why = f"break_it.{experiment.key}.why" if outcome != FINE else "break_it.unbroken"
    return (
        f'<div class="verdict"><section><h3><i>3</i>{both("break_it.happened")}</h3>'
        f'<p class="{right}"><b>{both(f"break_it.outcome.{outcome}")}</b> {both(f"break_it.{right}")}</p>'
        f'<ul class="facts">{measured(experiment, value)}</ul><p>{both(why)}</p>'
        f"{said(progress.seen)}</section>{'' if outcome == FINE else mend}</div>"
    )


def _stopped(view: JobView) -> str:
    return f'<div class="verdict"><p>{both("break_it.stopped")}</p></div>' if view.state == "stopped" else ""


def measured(experiment: Experiment, value: float) -> str:
    """The symptom: the curve, the value and what a healthy one is."""
    symptom = experiment.symptom
    name = train_charts.curve_name(symptom.curve)
    said = both("break_it.swing", curve=name) if symptom.swing else spans(name)
    health = both("break_it.healthy", limit=symptom.limit())
    return f"<li>{said} <b>{short(value)}</b><small>{health}</small></li>"


def advice(view: JobView, progress: Progress) -> tuple[Advice, ...]:
    """What the coach sees in the curves of the act or the fix that is judged."""
    return coach.advise(view.request.spec, view.switches, view.losses, progress.begun)


def said(given: Sequence[Advice]) -> str:
    """What the coach said."""
    lines = []
    for one in given:
        chips = "".join(reading(name, value, one.limits.get(name, "")) for name, value in one.evidence)
        title = f"<b>{both(f'coach.{one.key}.title')}</b>"
        lines.append(
            f'<div class="{one.level}"><p>{both("break_it.coach")} {title}. '
            f'{both(f"coach.{one.key}.seen")}</p><ul class="facts">{chips}</ul></div>'
        )
    return f'<div class="coach">{"".join(lines)}</div>' if lines else ""


def repairs(view: JobView, progress: Progress) -> str:
    """The fixes to choose from, and what those that were tried have done, by the numbers."""
    experiment, symptom, spec = progress.experiment, progress.experiment.symptom, view.request.spec
    over, waiting = view.state in FINAL, view.state == "paused"
    buttons = "".join(
        _button("fix", key, f"{both(f'break_it.{experiment.key}.fix.{key}')}"
                f"<small>{named(changes, spec)}</small>", key == progress.fix, over or not waiting)
        for key, changes in experiment.fixes.items()
    )  # fmt: skip
    rows, helped = "", False
    for key, value in progress.tried:
        if value is None or progress.before is None:
            continue
        fixed = symptom.healthy(value)
        helped = helped or fixed
        state = "fixed" if fixed else "not_fixed"
        rows += (
            f'<tr class="{state}"><th scope="row">{both(f"break_it.{experiment.key}.fix.{key}")}</th>'
            f"<td>{short(progress.before)} → <b>{short(value)}</b></td>"
            f"<td>{html.escape(symptom.limit())}</td>"
            f"<td>{both(f'break_it.{state}')}</td></tr>"
        )
    heads = "".join(
        f"<th>{both(f'break_it.head.{name}')}</th>" for name in ("fix", "value", "healthy", "told")
    )
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
    lesson = f'<p class="lesson">{both(f"break_it.{experiment.key}.lesson")}</p>' if helped else ""
    now = said(advice(view, progress)) if progress.tried and not over and waiting else ""
    about = both("break_it.over") if over else both("break_it.pick", num=experiment.fix_steps)
    return f'<p>{about}</p><div class="fixes">{buttons}</div>{table}{now}{lesson}'


def empty(progress: Progress) -> tuple[str, str, str]:
    """Live panel, figures and verdict before anything runs."""
    return train_panel.empty(), figures(None, progress), ""
