"""What the Train tab draws: the live panel, the small multiples, the coach's place, neighbours."""

import json
import math
import re
from dataclasses import replace
from html import escape
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from tiny import RECIPE, SPEC

from playground import coach, locale, previews, registry, replay, svg
from playground.diagnosis import Diagnosis
from playground.job import JobView, Request
from playground.spec import Switch, Words
from playground.tabs import train_charts, train_coach, train_panel, train_watch
from playground.training import TrainEvent
from playground.validation import Term


def view(**changes):
    request = Request(SPEC, "mnist", RECIPE, 3)
    given = {
        "id": "x", "request": request, "state": "running", "position": 0, "event": None, "eta": math.nan,
        "losses": {}, "moments": (), "message": None, "usable": False, "version": 0,
    }  # fmt: skip
    return JobView(**(given | changes))


@pytest.mark.parametrize("said", [
    Term("jobs.diverged", {"step": 7, "lr": "0.1"}), Term("jobs.memory", {"batch_size": 512, "smaller": 256}),
    Term("jobs.broken", {"kind": "KeyError"}), Term("jobs.unwatched"), Term("jobs.memory_model"),
    Term("errors.no_fashion", {"folder": Path("<it>")}),
])  # fmt: skip
def test_a_failure_is_said_in_both_languages(said):
    html = train_panel.live(view(state="failed", message=said), "")
    assert 'data-state="failed"' in html and "Failed" in html and "失败" in html
    safe = {key: escape(str(value)) for key, value in said.params.items()}
    assert all(locale.text(said.key, language, **safe) in html for language in locale.LANGUAGES)
    assert "<it>" not in html


def test_the_place_in_line_is_shown_and_the_panel_keeps_its_parts():
    queued = train_panel.live(view(state="queued", position=3), "")
    assert "Number 3 in line" in queued and "Waiting" in queued
    parts = [re.findall(r'class="(curves|shot|pg-bar|said)"', html) for html in (queued, train_panel.empty())]
    assert parts[0] == parts[1] == ["curves", "shot", "pg-bar", "said"]


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "0:00"), (59.6, "1:00"), (125, "2:05"), (3725, "1:02:05"), (math.nan, "–"), (math.inf, "–"),
])  # fmt: skip
def test_clock(seconds, text):
    assert train_panel.clock(seconds) == text


GAN = ("loss_d", "loss_g", "d_real", "d_fake", "grad_d", "grad_g", "class_entropy", "distinct")


def figures(html):
    """The SVG figures in some HTML, parsed."""
    return [ElementTree.fromstring(found) for found in re.findall(r"<svg.*?</svg>", html, re.S)]


def test_different_quantities_have_different_axes():
    assert train_charts.main_names(GAN) == ("loss_d", "loss_g")
    assert train_charts.main_names(("loss", "reconstruction", "kl")) == ("loss", "reconstruction", "kl")
    assert train_charts.main_names(("bits_per_dim",)) == ("bits_per_dim",)
    assert [chart.names for chart in train_charts.charts_of(GAN)] == [
        ("d_real", "d_fake"), ("grad_d", "grad_g"), ("class_entropy",), ("distinct",),
    ]  # fmt: skip
    assert train_charts.charts_of(("bits_per_dim",)) == []
    wasserstein = ("loss_d", "loss_g", "score_real", "score_fake", "wasserstein", "penalty", "unheard_of")
    charts = train_charts.charts_of(wasserstein)
    assert [chart.names[0] for chart in charts] == ["score_real", "wasserstein", "penalty", "unheard_of"]
    drawn = train_charts.panels({name: [[1, 0.5], [2, 0.7]] for name in wasserstein}, 10, (), None)
    assert len(figures(drawn)) == 4


def test_curves_and_the_evidence_of_them_have_names_in_both_languages():
    drawn = {name for model in previews.names() for name in replay.curves(model)}
    for name in drawn | {"class_entropy", "distance", "distinct", "gap", "step", "swing", "turns"}:
        said = train_charts.curve_name(name)
        assert said.en != said.zh and said.zh != name, name
    assert train_charts.curve_name("new<") == Words("new<", "new<") and "new&lt;" in train_charts.reading(
        "new<", 1.0
    )
    (figure,) = figures(train_charts.main_chart({"loss_d": [[1, 0.5]]}, 9))
    assert "D lossD 的损失 0.5" in "".join(figure.itertext())


def test_the_wide_range_of_gradients_is_drawn_in_logarithms():
    chart = next(chart for chart in train_charts.CHARTS if chart.log)
    wide = train_charts.small_chart(
        chart, {"grad_d": [[1, 1e-4], [2, 1e2]], "grad_g": [[1, 1.0], [2, 1.0]]}, 2
    )
    (figure,) = figures(wide)
    lines = [p.get("d") for p in figure.iter("path") if p.get("class") == "pg-line"]
    (_, low), (_, high) = [map(float, point.split()) for point in lines[0][1:].split("L")]
    (_, one), _ = [map(float, point.split()) for point in lines[1][1:].split("L")]
    assert (low - one) / (low - high) == pytest.approx(4 / 6, abs=0.02)  # decades are of one height


def test_the_goal_of_the_verdict_is_half_way_and_in_sight():
    chart = train_charts.CHARTS[0]
    (figure,) = figures(train_charts.small_chart(chart, {"d_real": [[1, 0.9], [2, 0.9]]}, 10))
    (goal,) = [p.get("d") for p in figure.iter("path") if p.get("class") == "pg-goal"]
    (axis,) = [p.get("d") for p in figure.iter("path") if p.get("class") == "pg-axis"]
    y = float(goal.split()[1].partition("H")[0])
    top, bottom = float(axis.split()[1].partition("V")[0]), float(axis.partition("V")[2].partition("H")[0])
    assert y == pytest.approx((top + bottom) / 2, abs=0.1)


def test_a_collapse_is_seen_in_the_bars_and_said_in_bits():
    collapsed = Diagnosis((0,) * 7 + (128, 0, 0), 0.0, 0.1)
    (figure,) = figures(train_charts.classes_chart(collapsed))
    heights = [float(bar.get("height")) for bar in figure.iter("rect")]
    assert heights.index(max(heights)) == 7 and sum(height > 0 for height in heights) == 1
    assert "0.00 / 3.32 bit" in "".join(figure.itertext())
    (empty,) = figures(train_charts.classes_chart(None))
    assert [float(bar.get("height")) for bar in empty.iter("rect")] == [0.0] * 10


SNGAN = registry.spec("sngan")
SHARP = Switch("noise", Words("<b>", "<b>"), 0.0, 0.0, 1.0)
CHANGES = (
    (0, {"loss": "hinge"}),
    (120, {"loss": "wasserstein", "lr": 1e-4}),
    (4000, {"spectral_norm": True}),
)


def test_every_change_is_marked_on_the_curves_and_listed():
    losses = {"loss": [[step, 1.0] for step in range(1, 5000, 50)]}
    (figure,) = figures(train_charts.main_chart(losses, 5000, train_charts.marks_of(CHANGES, SNGAN)))
    lines = [p.get("d") for p in figure.iter("path") if p.get("class") == "pg-mark-line"]
    assert len(lines) == 2  # what was set at the start is no change
    x = [float(line[1:].split()[0]) for line in lines]
    assert x[0] == pytest.approx(52 + 392 * 120 / 5000, abs=0.1) and x[1] > x[0]
    words = "".join(figure.itertext())
    assert "Loss → wasserstein, Learning rate → 0.0001" in words and "Spectral normalisation → on" in words
    assert "学习率 → 0.0001" in words and "谱归一化 → 开" in words
    drawn = train_panel.changed(CHANGES, SNGAN)
    assert drawn.index("4,000") < drawn.index("120") < drawn.index("hinge")
    sharp = replace(SPEC, switches=(SHARP,))
    assert train_panel.changed([(0, {"noise": 0.5})], sharp).count("&lt;b&gt; → 0.5") == 2


def test_marks_that_stand_close_together_do_not_overlap():
    marks = train_charts.marks_of([(100 + n, {"loss": "least-squares"}) for n in range(9)], SNGAN)
    (figure,) = figures(train_charts.main_chart({"loss": [[1, 1.0], [9000, 2.0]]}, 9000, marks))
    names = [t for t in figure.iter("text") if "pg-mark-name" in t.get("class")]
    assert len({name.get("y") for name in names}) == len(names) == 3
    assert len([p for p in figure.iter("path") if p.get("class") == "pg-mark-line"]) == 9


LEGENDS = (
    (train_charts.WIDTH, ("loss", "reconstruction", "kl")),
    (train_charts.WIDTH, ("loss_d", "loss_g")),
    (train_charts.WIDTH, ("loss_d_a", "loss_g_ba", "loss_d_b", "loss_g_ab")),
    *((train_charts._SMALL[0], chart.names) for chart in train_charts.CHARTS),
)


@pytest.mark.parametrize(("width", "names"), LEGENDS, ids=str)
def test_a_legend_has_room_for_its_values_in_rows_if_need_be(width, names):
    (figure,) = figures(svg.curves_svg({name: [(1, -0.00208)] for name in names}, width=width, height=185))
    entries = [t for t in figure.iter("text") if t.get("class") == "pg-legend"]
    places = [(float(t.get("x")), float(t.get("y"))) for t in entries]
    ends = [x + 8 * len("".join(t.itertext())) for t, (x, _) in zip(entries, places, strict=True)]
    assert max(ends) <= width and len({y for _, y in places}) <= 2
    for end, (x, y), (_, before) in zip(ends, places[1:], places, strict=False):
        assert x > end + 12 or y > before  # room for the next one's colour
    top = min(float(p.get("d").split("V")[0].split()[-1]) for p in figure.iter("path") if "V" in p.get("d"))
    assert top > max(y for _, y in places)


WORDY = {"penalty": "gradient penalty", "penalty_weight": 10.0, "lr_d": 0.5}


@pytest.mark.parametrize("step", [100, 2500, 4900])
@pytest.mark.parametrize("changes", [{"lr": 1e-4}, {"lr_d": 2.0, "lr_g": 0.5}, WORDY], ids=str)
def test_a_mark_has_a_name_wherever_it_stands(step, changes):
    marks = train_charts.marks_of([(step, changes)], SNGAN)
    (figure,) = figures(train_charts.main_chart({"loss": [[1, 1.0], [5000, 2.0]]}, 5000, marks))
    (name,) = [t for t in figure.iter("text") if "pg-mark-name" in t.get("class")]
    for text in name:
        width = sum(11 if char >= "\u2e80" else 6.2 for char in text.text)
        assert 52 <= float(name.get("x")) and float(name.get("x")) + width <= train_charts.WIDTH - 16
    assert [text.text for text in name][0].startswith(marks[0][1].en[:40])


def test_curves_break_where_a_quantity_was_not_measured():
    gap = [[step, 0.5] for step in range(1, 100)] + [[step, 0.5] for step in range(900, 1000)]
    (figure,) = figures(train_charts.main_chart({"loss": gap}, 1000))
    (line,) = [p.get("d") for p in figure.iter("path") if p.get("class") == "pg-line"]
    pieces = [[float(point.split()[0]) for point in piece.split("L")] for piece in line[1:].split("M")]
    assert len(pieces) >= 2 and pieces[0][-1] < 150 and pieces[-1][0] > 350  # a tenth of the width, and nine
    assert all(b - a < 12 for piece in pieces for a, b in zip(piece, piece[1:], strict=False))


PLAYERS = Switch("players", Words("Who learns", "谁在学习"), "both", choices=("both", "generator"))
LOSS = Switch("loss", Words("Loss", "损失"), "hinge", choices=("hinge", "least-squares"))


def test_the_figures_of_a_model_are_there_before_it_is_trained(monkeypatch):
    adversarial = SPEC.__class__(**(SPEC.__dict__ | {"switches": (PLAYERS, LOSS)}))
    names = [chart.names[0] for chart in train_charts.expected(adversarial, "mnist")]
    assert names == ["score_real", "grad_d"]
    squares = train_charts.expected(adversarial, "mnist", {"loss": "least-squares"})
    assert [chart.names[0] for chart in squares] == ["d_real", "grad_d"]
    assert train_charts.expected(SPEC, "mnist") == []
    monkeypatch.setattr(train_charts, "possible", lambda spec, dataset: True)
    drawn = train_charts.panels({}, 1, (), None, train_charts.expected(adversarial, "mnist"))
    assert len(figures(drawn)) == 5  # the two, class entropy, distinctness and the bars


WEIGHT = Switch("penalty_weight", Words("W", "权"), 1.0, 0.0, 9.0, needs=(("penalty", ("R1",)),))


def test_the_figures_that_switches_bring_are_there_as_well():
    penalty = Switch("penalty", Words("P", "约"), "none", choices=("none", "R1"))
    played = replace(SPEC, switches=(PLAYERS, LOSS, penalty, WEIGHT))
    for switches, brought in (
        ({}, []), ({"penalty": "R1"}, ["penalty"]), ({"loss": "wasserstein"}, ["wasserstein"]),
        ({"loss": "wasserstein", "penalty": "R1"}, ["wasserstein", "penalty"]),
    ):  # fmt: skip
        names = [chart.names[0] for chart in train_charts.expected(played, "mnist", switches)]
        assert names == ["score_real", "grad_d", *brought]
    always = train_charts.expected(replace(played, switches=(PLAYERS, WEIGHT)), "mnist")
    assert "penalty" in [chart.key for chart in always], "where no other penalty can be chosen"


@pytest.mark.parametrize("name", [n for n in previews.names() if replay.curves(n)])
def test_every_figure_of_the_shipped_training_is_expected(name):
    spec = registry.spec(name)
    expected = train_charts.expected(spec, spec.dataset)
    assert set(train_charts.charts_of(replay.curves(name))) <= set(expected)
    assert replay.curves("no such model") == ()


def test_no_figure_comes_goes_or_moves_while_curves_arrive():
    spec = registry.spec(next(n for n in previews.names() if "reach" in replay.curves(n)))
    request, curves = Request(spec, spec.dataset, spec.recipe, 3), replay.curves(spec.name)
    captions = []
    for num in range(len(curves) + 1):
        losses = {name: [[1, 0.5], [2, 0.7]] for name in curves[:num]}
        drawn = train_watch.multiples(view(request=request, losses=losses))
        captions.append(re.findall(r"<figcaption>(.*?)</figcaption>", drawn))
    assert len(captions[0]) >= 4 and all(found == captions[0] for found in captions)


def test_the_coach_has_its_place_before_it_says_anything():
    assert "hidden" not in train_coach.SKELETON
    for language in locale.LANGUAGES:
        assert locale.text("train.coach_waits", language) in train_coach.SKELETON
    assert re.search(r"\.items \{[^}]*min-height: \d+px", train_coach.STYLE)
    assert "minHeight" in train_coach.SCRIPT and ".hidden = !value" not in train_coach.SCRIPT


def test_the_coach_is_shown_with_its_evidence_and_what_it_would_turn(monkeypatch):
    said = coach.Advice("diverged", "bad", (("loss_d", 12.5),), {"lr": 1e-4}, {"loss_d": "> 5"})
    monkeypatch.setattr(coach, "advise", lambda spec, switches, curves, since: (said,))
    assert train_coach.value(view()) == ""  # nothing before the first update
    event = TrainEvent(9, 20, {"loss": 1.0}, None, 1.0, 0.5, 1.0, 1.0)
    (item,) = json.loads(train_coach.value(view(event=event)))["items"]
    assert item["key"] == "diverged" and item["level"] == "bad"
    assert "12.5" in item["evidence"] and "&gt; 5" in item["evidence"]
    assert "Learning rate → 0.0001" in item["button"]
    for language in locale.LANGUAGES:
        for part in ("title", "seen", "why", "try"):
            assert locale.text(f"coach.diverged.{part}", language) in item["words"]


def test_the_coach_is_asked_about_the_run_since_the_last_change(monkeypatch):
    asked = []
    monkeypatch.setattr(coach, "advise", lambda *given: asked.append(given) or ())
    event = TrainEvent(9, 20, {"loss": 1.0}, None, 1.0, 0.5, 1.0, 1.0)
    now = view(event=event, changes=((0, {"lr": 0.1}), (7, {"lr": 0.2})), switches={"lr": 0.2})
    train_coach.value(now)
    assert asked == [(SPEC, {"lr": 0.2}, {}, 7)]


def test_neighbours_are_shown_in_pairs():
    x = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
    drawn = train_panel.nearest(x, x + 51, torch.tensor([51.0, 51.0, 0.0]), "A model", 1200)
    assert drawn.count("<img") == 6 and drawn.count("0.20") == 2 and "1,200" in drawn and "A model" in drawn
