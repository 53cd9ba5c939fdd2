"""The Train tab's form: what to train, and the techniques of every model as switches.

Components cannot be made anew for every choice, so there is one for every different switch of any model;
those the chosen model has are shown, at its own defaults.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from playground import locale, previews, registry, validation
from playground.job import Request
from playground.jobs import MAX_PACE
from playground.schedules import switches_of
from playground.spec import ModelSpec, Switch
from playground.tabs import common
from playground.tabs.train_request import MAX_BATCH, MAX_STEPS, called, check, data_title, datasets, trainable

FIELDS = ("model", "dataset", "seed", "num_steps", "minutes", "batch_size", "pace")
_BESIDE = ("lr", "players")  # switches that stand elsewhere than among the techniques
_PLAYERS = "players"


@dataclass(frozen=True)
class Knob:
    """A switch, as one model has it, and its component; other models with the same switch share both."""

    switch: Switch
    component: Any


def _same(switch: Switch) -> tuple[Any, ...]:
    """Everything of a switch but what models may differ in."""
    return (
        switch.key, switch.kind, switch.label, switch.info, switch.minimum, switch.maximum, switch.step,
        switch.choices, switch.live,
    )  # fmt: skip


def own_switches(spec: ModelSpec) -> tuple[Switch, ...]:
    """The switches of a model's training, at their defaults."""
    return switches_of(spec, spec.recipe)


def live_keys(spec: ModelSpec) -> set[str]:
    """The switches of a model that may be turned while it trains."""
    return {switch.key for switch in own_switches(spec) if switch.live}


def all_switches() -> list[Switch]:
    """Every different switch of any model that draws or translates."""
    every = [s for name in previews.names() for s in own_switches(registry.spec(name))]
    return list({_same(switch): switch for switch in every}.values())


@dataclass
class Form:
    """The components, and what their values mean."""

    fields: dict[str, Any] = field(default_factory=dict)  # by FIELDS
    knobs: list[Knob] = field(default_factory=list)
    slow: Any = None  # the row of players and pace
    late: Any = None  # the row of what can only be set before the start
    accordion: Any = None

    @property
    def inputs(self) -> list[Any]:
        """All components whose values make a request."""
        return [*self.fields.values(), *(knob.component for knob in self.knobs)]

    def split(self, values: Sequence[Any]) -> tuple[dict[str, Any], dict[Any, Any]]:
        """The values of `inputs`, as the fields' by name and the knobs' by what makes them different."""
        head, rest = values[: len(self.fields)], values[len(self.fields) :]
        knobs = {_same(knob.switch): value for knob, value in zip(self.knobs, rest, strict=True)}
        return dict(zip(self.fields, head, strict=True)), knobs

    def turned(self, spec: ModelSpec, values: Sequence[Any]) -> dict[str, Any]:
        """What the model's own knobs stand at, checked."""
        _, knobs = self.split(values)
        sent = {s.key: knobs[_same(s)] for s in own_switches(spec)}
        return validation.switches(spec, spec.recipe, sent, running=False)

    def request(self, values: Sequence[Any]) -> tuple[Request, float]:
        """The training the form asks for, and its pace; raises InvalidInput."""
        fields, _ = self.split(values)
        spec = trainable(fields["model"])
        for name, most in (("num_steps", MAX_STEPS), ("batch_size", MAX_BATCH)):  # None: left empty
            validation.integer(fields[name], name, 1, most)
        turned, default = self.turned(spec, values), {s.key: s.default for s in own_switches(spec)}
        differ = {key: value for key, value in turned.items() if value != default[key]}
        lr = differ.pop("lr", None)
        pace = validation.number(fields["pace"] or 0, validation.Term("jobs.pace"), 0, MAX_PACE)
        asked = check(
            spec.name, fields["dataset"], fields["seed"], fields["num_steps"], fields["minutes"], lr,
            fields["batch_size"], switches=differ,
        )  # fmt: skip
        return asked, pace

    @property
    def shown(self) -> list[Any]:
        """What depends on the model: the knobs and two rows."""
        return [*(knob.component for knob in self.knobs), self.slow, self.late]

    def chosen(self, spec: ModelSpec, switches: Mapping[str, Any] | None = None) -> list[Any]:
        """Updates of `shown` for a model, at its defaults or at given values."""
        own = {_same(s): (switches or {}).get(s.key, s.default) for s in own_switches(spec)}
        updates: list[Any] = []
        for knob in self.knobs:
            there = _same(knob.switch) in own
            updates.append(
                gr.update(visible=True, value=own[_same(knob.switch)]) if there else gr.update(visible=False)
            )
        return [*updates, gr.update(visible=_has_players(spec)), gr.update(visible=_has_late(spec))]

    def put(self, spec: ModelSpec, changes: Mapping[str, Any]) -> list[Any]:
        """Updates of all knobs that set some of a model's switches and leave the rest."""
        own = {_same(s): changes[s.key] for s in own_switches(spec) if s.key in changes}
        return [
            gr.update(value=own[_same(k.switch)]) if _same(k.switch) in own else gr.skip() for k in self.knobs
        ]

    def filled(self, asked: Request, switches: Mapping[str, Any], pace: float) -> list[Any]:
        """Updates of the fields and `shown`: the form as a training was asked for and now stands."""
        names = [(data_title(name), name) for name in datasets(asked.spec)]
        fields = {
            "model": asked.spec.name, "dataset": gr.update(choices=names, value=asked.dataset),
            "seed": asked.seed, "num_steps": asked.recipe.num_steps, "minutes": asked.minutes or 0,
            "batch_size": asked.recipe.batch_size, "pace": pace,
        }  # fmt: skip
        return [fields[name] for name in self.fields] + self.chosen(asked.spec, switches)


def _has_players(spec: ModelSpec) -> bool:
    return any(switch.key == _PLAYERS for switch in spec.switches)


def _has_late(spec: ModelSpec) -> bool:
    return any(not switch.live for switch in spec.switches)


def build(first: ModelSpec) -> Form:
    """Model, data set, seed, length, learning rate, batch size, and a section with the techniques."""
    form, switches = Form(), all_switches()
    own = {_same(s): s.default for s in own_switches(first)}
    shown = {s: (_same(s) in own, own.get(_same(s), s.default)) for s in switches}
    with gr.Row():
        names = [(registry.spec(n).title, n) for n in previews.names()]
        form.fields["model"] = gr.Dropdown(
            names, value=first.name, label=common.word("common.model"), min_width=150
        )
        sets = [(data_title(name), name) for name in datasets(first)]
        form.fields["dataset"] = gr.Dropdown(
            sets, value=first.dataset, label=common.word("train.dataset"), min_width=150
        )
        form.fields["seed"] = gr.Number(0, label=common.word("common.seed"), min_width=130)
    with gr.Row():
        for name, value in (("num_steps", 500), ("minutes", 0), ("batch_size", first.recipe.batch_size)):
            word = common.word("train.steps" if name == "num_steps" else f"train.{name}")
            form.fields[name] = gr.Number(value, label=word, min_width=130)
        form.knobs += [Knob(s, component_for(s, *shown[s])) for s in switches if s.key == "lr"]
    among = [s for s in switches if s.key not in _BESIDE]
    with gr.Accordion(common.word("train.techniques"), open=False) as form.accordion:
        with gr.Row(elem_classes="pg-knobs"):
            form.knobs += [Knob(s, component_for(s, *shown[s])) for s in among if s.live]
        with gr.Row(elem_classes="pg-knobs", visible=_has_late(first)) as form.late:
            form.knobs += [Knob(s, component_for(s, *shown[s])) for s in among if not s.live]
    return form


def build_slow(form: Form, first: ModelSpec) -> None:
    """Who learns, and how slowly; for models with two players."""
    with gr.Row(visible=_has_players(first)) as form.slow:
        for switch in all_switches():
            if switch.key == _PLAYERS:
                component = gr.Radio(
                    choices_of(switch), value=switch.default, label=common.phrase(switch.label),
                    info=_info(switch), min_width=260,
                )  # fmt: skip
                form.knobs.append(Knob(switch, component))
        form.fields["pace"] = gr.Slider(
            0, MAX_PACE, 0, step=0.1, label=common.word("jobs.pace"), info=common.word("train.pace_info"),
            min_width=220,
        )  # fmt: skip


def choices_of(switch: Switch) -> list[tuple[Any, str]]:
    """What a switch offers: how each choice is called, which the browser translates, and its value."""
    names = [(called(value), value) for value in switch.choices]
    return [(name if isinstance(name, str) else common.phrase(name), value) for name, value in names]


def component_for(switch: Switch, visible: bool, value: Any) -> Any:
    """A drop-down, a tick box, a slider, or a number where a slider's grain would be too coarse."""
    given: dict[str, Any] = {"label": common.phrase(switch.label), "value": value, "visible": visible}
    info = _info(switch)
    if info is not None:
        given["info"] = info
    if switch.kind == "choice":
        return gr.Dropdown(choices_of(switch), min_width=180, **given)
    if switch.kind == "bool":
        return gr.Checkbox(min_width=180, **given)
    if switch.step is None and switch.kind == "float":
        return gr.Number(min_width=130, **given)
    step = switch.step or 1
    return gr.Slider(switch.minimum or 0, switch.maximum or 1, step=step, min_width=200, **given)


def _info(switch: Switch) -> Any:
    """What a switch does, and that it must be set before the start where that is so."""
    if switch.live:
        return common.phrase(switch.info) if switch.info is not None else None
    late, info = locale.words("train.start_only"), switch.info
    if info is None:
        return common.phrase(late)
    return common.phrase(type(late)(f"{info.en} {late.en}", f"{info.zh}{late.zh}"))
