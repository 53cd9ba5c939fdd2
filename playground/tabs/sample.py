"""Sample: one model, its own controls, the pictures as they form, and what the model is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from playground import figures, hub, race, registry, validation
from playground.locale import both
from playground.spec import Control, ModelSpec
from playground.tabs import about, card_panel, common, dropped, film, mine
from playground.tabs.film import Film
from playground.tabs.pieces import settling

ORDER = 10
TITLE = "sample.title"
MAX_NUM = 64
KIND = "sample"


@dataclass(frozen=True)
class Knob:
    """One component of one model's group of controls."""

    model: str
    control: Control
    component: Any


def build() -> None:
    """Lay the tab out and connect it."""
    first = start_name()
    with gr.Row(elem_classes="pg-sample"):
        with gr.Column(scale=2, min_width=320):
            name = gr.Dropdown(offered(), value=first, label=common.word("common.model"))
            counted = gr.State(first)  # the model whose count stands: a restored one keeps its own
            label = common.label_choice(registry.spec(first).conditional)
            with gr.Row():
                seed = common.seed_number()
                count = gr.Slider(1, MAX_NUM, 16, step=1, label=common.word("common.count"), min_width=180)
            with gr.Row(elem_classes="pg-last"):
                run = gr.Button(common.word("sample.run"), variant="primary", elem_classes=common.RUN)
                stop = gr.Button(common.word("common.stop"), elem_classes=common.STOP)
            groups, knobs = build_controls(first)
            common.html(f'<p class="pg-keys">{both("common.keys")}</p>')
        with gr.Column(scale=3, min_width=320):
            panel = common.html(film.blank(), elem_id="pg-film")
            upload, said = dropped.zone("sample.restore", elem_id="pg-restored")
    numbers = card_panel.component(registry.spec(first))
    explained = about.component([registry.spec(first)])
    inputs = [name, seed, label, count, *(knob.component for knob in knobs)]
    parts = {
        "run": run, "panel": panel, "name": name, "upload": upload, "said": said, "counted": counted,
    }  # fmt: skip
    connect(knobs, list(groups), inputs, [numbers, explained, label, count, *groups.values()], parts)
    stop.click(stop_sample, queue=False, **common.PRIVATE)
    common.on_show(refresh, None, name)
    common.api(sample, "sample")


def connect(
    knobs: list[Knob], names: list[str], inputs: list[Any], shown: list[Any], parts: dict[str, Any]
) -> None:
    """Register the handlers that need to know which component is which model's control."""

    @common.guarded
    def draw(request: gr.Request, name: Any, seed: Any, label: Any, num: Any, *values: Any) -> Iterator[str]:
        own = mine.plain(str(name))
        controls = {k.control.key: v for k, v in zip(knobs, values, strict=True) if k.model == own}
        yield from run_sample(name, seed, label, num, controls, common.session(request))

    @common.guarded
    def choose(name: Any, counted: Any, request: gr.Request) -> list[Any]:
        return [name, *brought(name, names, name != counted)]

    @common.guarded
    def restore(content: Any, request: gr.Request) -> list[Any]:
        found = read_upload(content)
        own = found["spec"].name
        values = [found["controls"][k.control.key] if k.model == own else gr.skip() for k in knobs]
        sentence = dropped.sentence(found["told"], model=found["spec"].title, seed=found["seed"])
        label = "any" if found["label"] is None else str(found["label"])
        head = [own, found["seed"], label, found["n"]]
        return [sentence, own, *head, *values]

    sent: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple"} | common.RAW
    parts["run"].click(draw, inputs, parts["panel"], **sent)
    for line in (knob.component for knob in knobs if isinstance(knob.component, gr.Textbox)):
        line.submit(draw, inputs, parts["panel"], **sent)
    name, counted = parts["name"], parts["counted"]
    name.change(choose, [name, counted], [counted, *shown], queue=False, **common.RAW)
    dropped.connect(parts["upload"], parts["said"], restore, [counted, *inputs])


def brought(name: Any, groups: list[str], count: bool) -> list[Any]:
    """What a model brings along: its numbers, its text, whether it takes a label, a count, its controls.

    Args:
        name: of the model, as it was chosen.
        groups: whose controls there are.
        count: whether the number of pictures becomes the usual one of a published model.
    """
    spec = common.look_up(name, "Samples", elsewhere=True)
    label = common.label_for(spec)
    num = gr.update(value=spec.published.num_pictures) if spec.published and count else gr.skip()
    visible = (gr.update(visible=spec.name == other) for other in groups)
    numbers = card_panel.strip(spec, own=mine.is_own(name))
    return [numbers, about.text([spec]), label, num, *visible]


def offered(owner: str = "") -> list[tuple[str, str]]:
    """(title, name): the models trained here, then the published ones with what they weigh."""
    elsewhere = [registry.spec(name) for name in registry.published("Samples")]
    weighed = [(f"{spec.title} · {hub.megabytes(spec)} MB", spec.name) for spec in elsewhere]
    return common.offered("Samples", owner) + weighed


def start_name() -> str:
    """The model that is shown first: of those with weights, if there are any, the one with most controls."""
    names = registry.names("Samples")
    return max(names, key=lambda name: (registry.shipped(name), len(registry.spec(name).controls)))


def build_controls(first: str) -> tuple[dict[str, gr.Group], list[Knob]]:
    """A group of components for every model, of which only the chosen one's is shown."""
    groups, knobs = {}, []
    for name in registry.names("Samples") + registry.published("Samples"):
        spec = registry.spec(name)
        with gr.Group(visible=name == first) as groups[name]:
            if not spec.controls:
                common.html(
                    f'<p class="pg-keys">{both("sample.no_controls")}</p>',
                )
            knobs += [Knob(name, control, component_for(control)) for control in spec.controls]
    return groups, knobs


def component_for(control: Control) -> Any:
    """A slider, a drop-down, a tick box or a line of text."""
    said: dict[str, Any] = {"label": common.phrase(control.label), "value": control.default}
    if control.info is not None:
        said["info"] = common.phrase(control.info)
    if control.kind == "choice":
        return gr.Dropdown(list(control.choices), **said)
    if control.kind == "bool":
        return gr.Checkbox(**said)
    if control.kind == "str":
        return gr.Textbox(max_length=validation.MAX_PROMPT, max_lines=1, **said)
    step = control.step or (1 if control.kind == "int" else 0.01)
    return gr.Slider(control.minimum or 0, control.maximum or 1, step=step, **said)


def refresh(request: gr.Request) -> Any:
    """What can be chosen now, models trained in this page included."""
    return gr.update(choices=offered(common.session(request)))


@common.guarded
def stop_sample(request: gr.Request) -> None:
    """End this session's drawing before its next step."""
    common.RUNS.stop(common.session(request), KIND)


def prepare(
    name: Any, seed: Any, label: Any, num: Any, controls: Any
) -> tuple[ModelSpec, int, int | None, int, dict[str, Any]]:
    """Check a request; raises InvalidInput."""
    spec = common.look_up(name, "Samples", elsewhere=True)
    seed, num = validation.seed(seed), validation.count(num, 1, MAX_NUM)
    return spec, seed, validation.label(label, spec), num, validation.controls(spec, controls)


@settling(film.blank)
def run_sample(name: Any, seed: Any, label: Any, num: Any, controls: Any, session: str) -> Iterator[str]:
    """The panel, several times a second while the pictures form, and at last with its film and downloads."""
    spec, seed, label, num, controls = prepare(name, seed, label, num, controls)
    throttle, frames = common.Throttle(), Film(num)
    with common.RUNS.open(session, KIND, newest=True) as run:
        if spec.published is not None:
            going_on, shown = film.blank("sample.download_goes_on"), partial(film.downloading, spec)
            yield from common.arriving(spec, run, shown, going_on)
            if run.stopped:
                return
        yield film.live(None, spec, 0.0)
        with run.turn():
            model = common.obtain(name, session)
        racer = race.enter(name, model, num, race.labels_of(spec, num, label), seed, controls)
        while not racer.done and not run.stopped:
            with run.turn():
                racer.advance()
            if racer.last is None:
                continue
            frames.add(racer.last)
            if not racer.done and throttle.due():
                yield film.live(racer.last, spec, racer.share, racer.left)
        race.close(racer.steps)
    if run.superseded:
        yield gr.skip()  # gradio sends what came last once more when a generator ends
        return
    request = request_of(name, spec, seed, label, num, controls)
    yield film.final(frames, racer, spec, request)


def request_of(
    name: str, spec: ModelSpec, seed: int, label: int | None, num: int, controls: dict[str, Any]
) -> dict[str, Any]:
    """Everything it takes to draw the same pictures again."""
    return {
        "model": spec.name,
        "seed": seed,
        "label": label,
        "n": num,
        "controls": controls,
        "weights_sha256": None if mine.is_own(name) else weights_here(name),
        "versions": figures.versions(),
    }


def weights_here(name: str) -> str | None:
    """The sha256 of a model's shipped weights, if there are any."""
    return registry.card(name).get("sha256") if registry.shipped(name) else None


def read_upload(content: Any) -> dict[str, Any]:
    """The checked request inside an uploaded PNG, with its model's spec and the key of what is then told.

    Raises:
        InvalidInput: if there is none, or it cannot be answered.
    """
    found = dropped.for_sample(content)
    asked = (found.get(key) for key in ("model", "seed", "label", "n", "controls"))
    spec, seed, label, num, controls = prepare(*asked)
    values = {"spec": spec, "seed": seed, "label": label, "n": num, "controls": controls}
    return values | {"told": told(found, spec)}


def told(found: Mapping[str, Any], spec: ModelSpec) -> str:
    """The key of what is said of a restored request: whether the weights here are those that drew it.

    Published weights are always the same, and pictures of the Words tab do not say which drew them.
    """
    if spec.published is not None or "weights_sha256" not in found:
        return "sample.restored"
    if found["weights_sha256"] is None:
        return "sample.restored_own"
    same = found["weights_sha256"] == weights_here(spec.name)
    return "sample.restored" if same else "sample.restored_other"


def sample(
    name: str,
    seed: int = 0,
    label: str = "any",
    n: int = 16,
    controls: dict[str, Any] | None = None,
    request: gr.Request | None = None,
) -> dict[str, Any]:
    """Draw pictures with one model.

    Args:
        name: of a model, as `/models` lists them.
        seed: 0 to 4294967295; the same seed draws the same pictures.
        label: "any" (every class in turn), or one, 0 to 9, for a model that takes it.
        n: how many, 1 to 64.
        controls: values of the model's own controls, as `/models` lists them; defaults for the rest.
        request: filled in by the server.

    Returns:
        {"request": all it takes to draw them again, "png": a grid as a data URI with that request embedded,
        "captions": what each was asked to show, where the model is told in words, "nfe": network evaluations,
        "milliseconds_per_image": measured here}.
    """
    spec, seed, wanted, n, checked = prepare(name, seed, label, n, controls)
    session = common.session(request)
    with common.RUNS.open(session, KIND) as run:
        if spec.published is not None:
            run.during(hub.fetch(spec))
        with run.turn():
            model = common.obtain(name, session)
        racer = race.enter(name, model, n, race.labels_of(spec, n, wanted), seed, checked)
        while not racer.done and not run.stopped:
            with run.turn():
                racer.advance()
    asked = request_of(name, spec, seed, wanted, n, checked)
    return film.answer(racer, asked)
