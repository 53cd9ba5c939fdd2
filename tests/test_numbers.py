"""What the cards have measured, where the page and the README show it: with its N, its kind, its unit."""

import re
from xml.etree import ElementTree

import pytest
from app_helpers import NAMES

from playground import listing, registry, scoring
from playground.locale import table
from playground.tabs import about, card_panel, likelihood_cards_panel, panels, saving, train_charts
from playground.tabs.panels import Lane

CONDITIONAL = next(name for name in NAMES if registry.spec(name).conditional)
PLAIN = next(name for name in NAMES if not registry.spec(name).conditional)


def fid(times, num):
    return {"value": times * 0.1, "num": num, "floor": 0.1, "times_floor": times}


def share(value, num):
    return {"value": value, "num": num, "num_real": num, "k": 5, "real": 0.96}


def lane(title, num, **shares):
    metrics = {"fid": fid(2.0, num)} | {key: share(value, num // 2) for key, value in shares.items()}
    return Lane(registry.spec(PLAIN), 0, title, metrics=metrics)


def seen(html, code="en"):
    """The words of a panel in one language."""
    other = "zh" if code == "en" else "en"
    alone = re.sub(rf'<(\w+) lang="{other}">.*?</\1>', "", html, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", alone))


@pytest.fixture
def cards(monkeypatch):
    """Cards by name in place of those on disk; a model without one is not shipped."""
    given = {}
    monkeypatch.setattr(registry, "shipped", lambda name: name in given)
    monkeypatch.setattr(registry, "card", lambda name: given[name])
    return given


# Compare


def test_compare_shows_precision_recall_and_coverage_the_bad_ones_too():
    html = panels.summary([lane("A", 10_000, precision=0.781, recall=0.082, coverage=0.034)], 4)
    text = seen(html)
    assert "78.1%" in text and "8.2%" in text and "3.4%" in text
    assert text.count("N = 5,000 against 5,000 real, k = 5") == 3 and text.count("N = 10,000") == 1
    assert "does not compare" not in text and "pg-hollow" not in html and "pg-unequal" not in html
    assert "not measured" in seen(panels.summary([Lane(registry.spec(PLAIN), 0, "A")], 4))


def test_compare_marks_who_was_measured_on_another_n():
    lanes = [lane("A", 10_000, coverage=0.9), lane("B", 500, coverage=0.9), lane("C", 10_000, coverage=0.9)]
    html = panels.summary(lanes, 4)
    rows = re.findall(r"<tr>.*?</tr>", html, re.S)[1:]
    assert (
        ["pg-odd" in row for row in rows] == ["N = 500" in seen(row) for row in rows] == [False, True, False]
    )
    groups = re.findall(r'<g class="pg-mark">.*?</g>', html, re.S)
    assert [group.count("pg-hollow") for group in groups] == [0, 2, 0]
    assert sorted(re.findall(r"pg-apart[^>]*>([^<]+)<", html)) == ["N = 250", "N = 500"]
    for code in ("en", "zh"):
        assert "B (N = 500)" in seen(html, code) and "10,000" in seen(html, code)


def timed(state="ready", milliseconds=None):
    metrics = {"ms_per_image_1": {"value": 20.0, "num": 1}, "ms_per_image_64": {"value": 5.0, "num": 64}}
    return Lane(registry.spec(PLAIN), 0, "A", state=state, milliseconds=milliseconds, metrics=metrics)


@pytest.mark.parametrize(
    ("lanes", "num", "speed", "source", "caption"),
    [
        ([timed()], 16, "200", "speed_card", "speeds_card"),
        ([timed()], 1, "50.0", "speed_card", "speeds_card"),
        ([timed("stopped", 8.0)], 16, "200", "speed_card", "speeds_card"),
        ([timed("done", 8.0)], 16, "125", "speed_run", "speeds_run"),
        ([timed("done", 8.0), timed("stopped", 8.0)], 16, "125", "speed_run", "speeds_both"),
        ([Lane(registry.spec(PLAIN), 0, "A")], 16, "–", "", "speeds_card"),
    ],
)
def test_the_speed_is_the_cards_until_the_run_has_its_own(lanes, num, speed, source, caption):
    html = panels.summary(lanes, num)
    row = re.findall(r"<tr>.*?</tr>", html, re.S)[1]
    mark = re.search(r'<g class="pg-mark"><title>(.*?)</title>(.*?)</g>', html, re.S)
    assert mark[2].count("<circle") == bool(source), "it has its place on the axis"
    for code in ("en", "zh"):
        said = table(code)[f"compare.{source}"].format(num=1 if num == 1 else 64) if source else ""
        assert f"{speed} {said}" in seen(row, code)
        assert said in mark[1], "the one who points at it is told too"
        assert table(code)[f"compare.{caption}"] in seen(html, code)


def test_compare_shows_the_coverage_of_the_run_and_what_real_pictures_get():
    run = {"precision": {"value": 0.875}, "label_accuracy": {"value": 0.5}}
    few, enough = (Lane(registry.spec(PLAIN), 0, "A", run=run | more) for more in (
        {}, {"coverage": {"value": 0.625, "num": 16, "ideal": 0.9731}}))  # fmt: skip
    assert "88% / – / 50%" in seen(panels.summary([few], 4)) and "97%" not in panels.summary([few], 4)
    text = panels.summary([enough], 16)
    assert "88% / 62% / 50% real pictures would cover 97%" in seen(text)
    assert "真实图片可覆盖 97%" in seen(text, "zh") and "11" in seen(text, "zh")


@pytest.mark.parametrize("name", NAMES)
def test_the_family_is_said_in_the_language_of_the_page(name):
    spec = registry.spec(name)
    for made in (panels.race([Lane(spec, 0, "A")], "ready", 0, None, 4), about.text([spec])):
        for code in ("en", "zh"):
            said = table(code)[f"families.family_{spec.family}"]
            assert re.search(rf"{said} ?[·,] {spec.year}", seen(made, code))


@pytest.mark.parametrize(
    ("nums", "usual"),
    [([], None), ([500], 500), ([500, 10_000], 10_000), ([500, 500, 10_000], 500), ([1, 2, 2, 3], 2)],
)
def test_the_usual_n_is_the_most_frequent_or_the_larger(nums, usual):
    assert panels.usual_num([{"fid": {"num": num}} for num in nums] + [{}], "fid") == usual


# Sample


@pytest.mark.parametrize("name", NAMES)
def test_the_strip_says_every_number_of_the_card_with_its_n(name):
    card, text = registry.card(name), seen(card_panel.strip(registry.spec(name)))
    assert f"{card['num_parameters']:,}" in text and f"{card['num_steps']:,} steps" in text
    for key in listing.SHARES:
        if entry := card["metrics"].get(key):
            assert f"{entry['value']:.1%}" in text and f"N = {entry['num']:,}" in text
    missing = {"fid", *listing.SHARES} - card["metrics"].keys()
    assert text.count(table("en")["compare.unknown"]) >= len(missing)
    for best in scoring.of_card(card["metrics"])[:1]:
        assert scoring.UNITS[best.group] in text and re.search("exact|bound", text)
    assert re.search("[\u4e00-\u9fff]", seen(card_panel.strip(registry.spec(name)), "zh"))


def test_the_strip_of_weights_without_a_card_has_no_numbers_of_others(cards):
    spec = registry.spec(CONDITIONAL)
    cards[spec.name] = {"metrics": {"fid": fid(3.0, 10_000), "label_accuracy": {"value": 0.9, "num": 10_000}}}
    assert "3×" in seen(card_panel.strip(spec)) and "90.00%" in seen(card_panel.strip(spec))
    own = seen(card_panel.strip(spec, own=True))
    assert "3×" not in own and "90.00%" not in own and own.count("not measured") >= 5
    del cards[spec.name]
    assert "×" not in seen(card_panel.strip(spec))


# Likelihoods


def likelihood(group, value, num=10_000, **more):
    kind, levels = {"binary": ("exact", 2), "discrete": ("exact", 256), "dequantised": ("dequantised", 256)}[
        group
    ]
    entry = {"value": value, "num": num, "error": 0.01, "kind": kind, "levels": levels, "given_label": False}
    return {"nll_nats": entry | more, "nll_bits_per_dim": entry | {"value": value / 500} | more}


def test_the_tables_never_mix_groups_and_say_kind_and_n(cards):
    names = registry.names("HasLikelihood")
    by_group = {
        group: [n for n in names if scoring.group(registry.spec(n)) == group] for group in scoring.GROUPS
    }
    for index, (group, members) in enumerate(by_group.items()):
        for place, name in enumerate(members[:2]):
            cards[name] = {"metrics": likelihood(group, 700.0 + 100 * index - 10 * place)}
    html = likelihood_cards_panel.tables()
    sections = re.findall(r'<section data-group="(\w+)">(.*?)</section>', html, re.S)
    assert tuple(group for group, _ in sections) == scoring.GROUPS
    for group, section in sections:
        titles = re.findall(r'<th scope="row">([^<]+)<', section)
        assert set(titles) == {registry.spec(name).title for name in by_group[group]}
        first, second = (registry.spec(name).title for name in by_group[group][:2])
        assert titles[:2] == [second, first], "the best first"
        text = seen(section)
        assert scoring.UNITS[group] in text and text.count("10,000") == 2 and "exact" in text
        assert text.count("not measured") == len(by_group[group]) - 2


def test_a_card_with_two_bounds_gives_both_the_tighter_first():
    looser = likelihood("binary", 90.0, kind="bound")
    tighter = {"value": 85.0, "num": 1000, "kind": "bound", "levels": 2, "num_latents": 500}
    found = scoring.of_card(looser | {"iwae_nats": tighter, "iwae_bits_per_dim": tighter})
    assert [(one.value, one.num, one.num_latents) for one in found] == [(85.0, 1000, 500), (90.0, 10_000, 1)]
    assert "IWAE" in likelihood_cards_panel.said(found[0]) and "ELBO" in likelihood_cards_panel.said(found[1])
    assert scoring.of_card({}) == []


def test_the_readmes_table_has_a_column_for_each_group():
    for place, group in enumerate(scoring.GROUPS):
        cells = listing.likelihoods(likelihood(group, 500.0, 300))
        assert [bool(cell) for cell in cells] == [index == place for index in range(3)]
        assert "exact" in cells[place] and "N = 300" in cells[place]
    assert "given the label" in listing.likelihoods(likelihood("binary", 80.0, given_label=True))[0]
    head, _, *rows = listing.table().splitlines()
    columns = [cell.strip() for cell in head.split("|")]
    assert all(title in columns for title in listing.LIKELIHOODS.values())
    metrics = columns.index("metrics")
    assert not [row for row in rows if re.search(r"\bnats|bits/dim", row.split("|")[metrics])]
    assert set(listing.LIKELIHOODS) == set(scoring.GROUPS)


def test_multiples_have_three_digits_and_no_exponent():
    assert [listing.multiple(x) for x in (4.126, 13.97, 438.2, 1219.19)] == ["4.13", "14", "438", "1,220"]


def test_headlines_have_recall_and_coverage():
    found = listing.headlines({key: share(0.5, 5000) for key in listing.SHARES})
    assert found == ["precision 0.500, recall 0.500, coverage 0.500 (N = 5,000)"]


# Figures to take away


@pytest.mark.parametrize("made", [
    saving.buttons("a", "#a > svg", ["#b h2", '[x="y"]']), train_charts.save_buttons(),
])  # fmt: skip
def test_buttons_name_a_file_its_figures_and_its_title(made):
    found = ElementTree.fromstring(made).findall("button")
    assert [button.get("data-kind") for button in found] == ["svg", "png"]
    assert all(button.get("data-figures") and button.get("data-titles") for button in found)
    assert all(button.get("onclick") == "playground.save(this)" for button in found)
    assert [span.get("lang") for span in found[0]] == ["en", "zh"]
