"""Compare: several models get the same request and race; what each one trades, and buys, stands below."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from playground import data, figures, judge, listing, race, registry, validation, weights
from playground.locale import both
from playground.tabs import common, mine, panels, verdict_panel
from playground.tabs.panels import Lane
from playground.tabs.pieces import settling
from playground.tabs.runs import Run

ORDER = 0
TITLE = "compare.title"
MAX_MODELS, MAX_NUM = 6, 64
KIND = "compare"


def build() -> None:
    """Lay the tab out and connect it."""
    first, num = default_names(), 16
    common.html(f'<p class="pg-intro">{both("compare.intro")} {both("common.keys")}</p>')
    with gr.Row(elem_classes="pg-controls", equal_height=True):
        names = gr.Dropdown(
            common.offered("Samples"),
            value=first,
            multiselect=True,
            max_choices=MAX_MODELS,
            label=common.word("common.models"),
            scale=3,
            min_width=280,
        )
        label = common.label_choice()
        seed = common.seed_number()
        count = gr.Slider(1, MAX_NUM, num, step=1, label=common.word("common.count"), min_width=200)
        with gr.Column(min_width=140, scale=0, elem_classes="pg-buttons"):
            run = gr.Button(common.word("compare.run"), variant="primary", elem_classes=common.RUN)
            stop = gr.Button(common.word("common.stop"), elem_classes=common.STOP)
    still = preview(first, 0, "any", num)
    cards = common.html(still[0], elem_id="pg-race")
    below = common.html(still[1], elem_id="pg-below")
    common.html(verdict_panel.section())

    inputs, outputs = [names, seed, label, count], [cards, below]
    run.click(run_race, inputs, outputs, concurrency_limit=None, trigger_mode="multiple", **common.RAW)
    stop.click(stop_race, queue=False, **common.PRIVATE)
    names.input(preview, inputs, outputs, queue=False, trigger_mode="always_last", **common.RAW)
    common.on_show(refresh, None, names)
    common.api(compare, "compare")
    common.api(models, "models")


def default_names() -> list[str]:
    """A model with weights of every family, if it may be the one that stands for it; at least two models."""
    names = registry.names("Samples")
    by_family: dict[str, str] = {}
    for name in sorted(filter(registry.shipped, names), key=lambda name: not registry.spec(name).exemplary):
        by_family.setdefault(registry.spec(name).family, name)
    first = set(by_family.values())
    names.sort(key=lambda name: (name not in first, not registry.shipped(name)))
    return names[: min(MAX_MODELS, max(2, len(first)))]


def refresh(request: gr.Request) -> Any:
    """What can be chosen now, models trained in this page included."""
    return gr.update(choices=common.offered("Samples", common.session(request)))


@common.guarded
def stop_race(request: gr.Request) -> None:
    """End this session's races before their next step."""
    common.RUNS.stop(common.session(request), KIND)


def lanes_of(names: Any, label: int | None) -> list[Lane]:
    """A card for every model that was asked for, with its numbers; raises InvalidInput."""
    lanes = []
    chosen = common.look_up_all(names, "Samples", 2, MAX_MODELS)
    for name, spec in chosen:
        if data.pictures_of(spec.dataset) != data.pictures_of(chosen[0][1].dataset):
            titles = {"model": mine.title(name, spec), "first": mine.title(*chosen[0])}
            raise validation.InvalidInput("compare.other_pictures", **titles)
    for colour, (name, spec) in enumerate(chosen):
        own = mine.is_own(name)
        lane = Lane(spec, colour, mine.title(name, spec))
        if label is not None and not spec.conditional:
            lane.notes.append(both("compare.no_label"))
        if own:
            lane.notes.append(both("common.mine"))
        elif registry.shipped(spec.name):
            lane.metrics = registry.card(spec.name).get("metrics", {})
        else:
            lane.state = "absent"
            lane.notes.append(both("common.no_weights", model=spec.title, name=spec.name))
        lanes.append(lane)
    return lanes


@common.guarded
def preview(names: Any, seed: Any, label: Any, num: Any) -> tuple[str, str]:
    """The empty cards and the known numbers of a choice; an unfinished choice leaves the page as it is."""
    try:
        lanes = lanes_of(names, validation.label(label))
        seed, num = validation.seed(seed), validation.count(num, 1, MAX_NUM)
    except validation.InvalidInput:
        return gr.skip(), gr.skip()
    return panels.race(lanes, "ready", seed, validation.label(label), num), panels.summary(lanes, num)


@common.guarded
def run_race(names: Any, seed: Any, label: Any, num: Any, request: gr.Request) -> Iterator[tuple[Any, Any]]:
    """The race as the page sees it: cards several times a second, the summary at its end."""
    label = validation.label(label)
    seed, num = validation.seed(seed), validation.count(num, 1, MAX_NUM)
    lanes, session = lanes_of(names, label), common.session(request)
    racers: dict[int, race.Racer] = {}

    def failed() -> tuple[str, str]:
        for lane in lanes:
            lane.state = "stopped" if lane.state == "loading" else lane.state
        show(lanes, racers, "stopped")
        return panels.race(lanes, "stopped", seed, label, num), panels.summary(lanes, num)

    yield from settling(failed)(racing)(names, lanes, racers, session, seed, label, num)


def racing(
    names: list[str],
    lanes: list[Lane],
    racers: dict[int, race.Racer],
    session: str,
    seed: int,
    label: int | None,
    num: int,
) -> Iterator[tuple[Any, Any]]:
    """The race itself, with a card and in time a racer for each of the names."""
    throttle = common.Throttle()
    with common.RUNS.open(session, KIND, newest=True) as run:
        yield panels.race(lanes, "running", seed, label, num), panels.summary(lanes, num)
        for _ in line_up(names, lanes, racers, run, session, seed, label, num):
            yield panels.race(lanes, "running", seed, label, num), gr.skip()
        while not run.stopped and (racer := race.next_up(list(racers.values()))):
            with run.turn():
                racer.advance()
            if throttle.due():
                show(lanes, racers)
                yield panels.race(lanes, "running", seed, label, num), gr.skip()
        if run.superseded:
            yield gr.skip(), gr.skip()  # gradio sends what came last once more when a generator ends
            return
        state = "stopped" if run.stopped else "done"
        show(lanes, racers, state)
        yield panels.race(lanes, state, seed, label, num), panels.summary(lanes, num)
        for index, racer in racers.items():
            race.close(racer.steps)
            if not run.stopped:
                with run.turn():
                    lanes[index].run = judged(lanes[index], racer, label)
        yield gr.skip(), gr.skip() if run.superseded else panels.summary(lanes, num)


def line_up(
    names: list[str],
    lanes: list[Lane],
    racers: dict[int, race.Racer],
    run: Run,
    session: str,
    seed: int,
    label: int | None,
    num: int,
) -> Iterator[None]:
    """Load and rehearse every model that has weights, one after the other, into `racers` by their lane."""
    for index, (name, lane) in enumerate(zip(names, lanes, strict=True)):
        if lane.state == "absent" or run.stopped:
            continue
        lane.state = "loading"
        yield
        controls, labels = lane.spec.defaults(), race.labels_of(lane.spec, num, label)
        try:
            with run.turn():
                model = common.obtain(name, session)
                race.rehearse(model, num, labels, controls)
        except (weights.WeightsError, validation.InvalidInput) as error:  # the others race on
            lane.state = "absent"
            lane.notes.append(common.reason(error))
            continue
        racers[index] = race.enter(name, model, num, labels, seed, controls)
        lane.state = "waiting"


def show(lanes: list[Lane], racers: dict[int, race.Racer], ending: str = "running") -> None:
    """Bring the cards up to date; a picture that is done is not drawn again."""
    for index, racer in racers.items():
        lane = lanes[index]
        if lane.state == "done":
            continue
        if racer.last is None:
            lane.state = "waiting" if ending == "running" else ending
            continue
        lane.picture = figures.png_data_uri(figures.grid(racer.last.x))
        lane.share, lane.nfe, lane.milliseconds, lane.left = (
            racer.share, racer.last.nfe, racer.milliseconds, racer.left,
        )  # fmt: skip
        lane.state = "done" if racer.done else ending


def judged(lane: Lane, racer: race.Racer, label: int | None) -> dict[str, dict[str, Any]]:
    """What the classifier says about the pictures of this very run; nothing if it cannot."""
    if not racer.done or racer.last is None or lane.spec.dataset != judge.spec().dataset:
        return {}
    labels = race.labels_of(lane.spec, racer.num, label)
    try:
        return judge.quick(racer.last.x, labels, lane.spec.levels)
    except (weights.WeightsError, ValueError):
        return {}


def compare(
    names: list[str], seed: int = 0, label: str = "any", n: int = 16, request: gr.Request | None = None
) -> dict[str, Any]:
    """Draw the same request with two to six models and measure each.

    Args:
        names: names of models, as `/models` lists them.
        seed: 0 to 4294967295; the same seed draws the same pictures.
        label: "any" (every class in turn) or one, 0 to 9; models that take no class ignore it.
        n: pictures each, 1 to 64.
        request: filled in by the server.

    Returns:
        {"request": ..., "models": [...]}, each model with its name, title, done, png (a data URI), nfe,
        milliseconds_per_image, metrics (of its card) and run (of these pictures). The metrics compare only
        with each other.
    """
    wanted = validation.label(label)
    seed, n = validation.seed(seed), validation.count(n, 1, MAX_NUM)
    lanes, session = lanes_of(names, wanted), common.session(request)
    for name in names:
        common.obtain(name, session)
    with common.RUNS.open(session, KIND) as run:
        racers: dict[int, race.Racer] = {}
        for _ in line_up(names, lanes, racers, run, session, seed, wanted, n):
            continue
        while not run.stopped and (racer := race.next_up(list(racers.values()))):
            with run.turn():
                racer.advance()
        answers = [answer(lanes[index], racer, wanted) for index, racer in racers.items()]
    return {"request": {"seed": seed, "label": wanted, "n": n}, "models": answers}


def answer(lane: Lane, racer: race.Racer, label: int | None) -> dict[str, Any]:
    """One model's part of the endpoint's answer."""
    last = racer.last
    return {
        "name": racer.name,
        "title": lane.title,
        "done": racer.done,
        "png": figures.png_data_uri(figures.grid(last.x)) if last else None,
        "nfe": last.nfe if last else 0,
        "milliseconds_per_image": racer.milliseconds,
        "metrics": lane.metrics,
        "run": judged(lane, racer, label),
    }


def models() -> list[dict[str, Any]]:
    """List the models that draw pictures or translate them.

    Returns:
        For each its name, title, family, year, paper (arXiv number), data set, whether it takes a class
        (conditional), whether its weights are here (shipped), its controls, the metrics of its card and,
        for one that others published, where it is downloaded from on first use (published).
    """
    able = ("Samples", "Translates")
    names = [name for which in able for name in registry.names(which) + registry.published(which)]
    return [listing.described(name) for name in names]
