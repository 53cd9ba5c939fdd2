"""Likelihoods of what is no digit: the pictures, the area under the curve, the scorer, the histograms."""

import math
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import torch
from contract_helpers import fresh
from tiny import SPEC

from playground import anomaly, data, judge, race, registry, scoring
from playground.anomaly import CLOTHES, DIGITS, EVEN, NOISE, Scorer
from playground.histogram import Cloud, Scale, counts, histogram_svg
from playground.spec import GenerativeModel, HasLikelihood, Words
from playground.tabs import likelihood_anomaly

NAMES = registry.names("HasLikelihood")


class Dark(GenerativeModel, HasLikelihood):
    """Finds a picture the likelier the less ink it has; whatever it shows."""

    likelihood, levels = "exact", 256

    def __init__(self, config):
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(1))

    def log_prob(self, x, labels=None, *, generator=None):
        return -(x + 1).flatten(1).sum(1)


SPEC_DARK = replace(SPEC, model=Dark, dataset="mnist")


def scorer(num=12, keys=(DIGITS, NOISE, EVEN), model=None):
    sets = {key: anomaly.pictures(key, num, 256) for key in keys}
    return Scorer(SPEC_DARK, model or Dark(None), sets)


# Pictures


@pytest.mark.parametrize("levels", [2, 256])
@pytest.mark.parametrize("key", [DIGITS, NOISE, EVEN])
def test_pictures_lie_on_the_levels_and_are_always_the_same(key, levels):
    x = anomaly.pictures(key, 10, levels)
    assert x.shape == (10, 1, 28, 28) and x.dtype == torch.float32 and x.min() >= -1 and x.max() <= 1
    steps = (x + 1) * (levels - 1) / 2
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    assert torch.equal(x, anomaly.pictures(key, 10, levels))
    if key == EVEN:
        assert (x.flatten(1).std(1) == 0).all() and len(x[:, 0, 0, 0].unique()) > 1
    if key == NOISE:
        assert abs(x.mean()) < 0.05 and (x.flatten(1).std(1) > 0.5).all()


def test_digits_are_test_pictures_and_more_of_them_begin_with_the_same():
    few, many = anomaly.pictures(DIGITS, 5, 256), anomaly.pictures(DIGITS, 9, 256)
    assert torch.equal(few, many[:5])
    images = data.load("mnist", "test").images
    assert torch.equal(few[0], data.to_float(images[judge.some(len(images), 1)])[0])


def test_clothes_that_are_not_here_are_said_to_be_missing(monkeypatch):
    def gone(name, split):
        raise data.DataUnavailable("not here")

    monkeypatch.setattr(data, "load", gone)
    with pytest.raises(data.DataUnavailable):
        anomaly.pictures(CLOTHES, 5, 256)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "error", [data.DataUnavailable("not here"), MemoryError(), ValueError("odd")], ids=repr
)
def test_looking_for_clothes_ends_whatever_goes_wrong(error, monkeypatch):
    def fails(name, split):
        raise error

    monkeypatch.setattr(data, "load", fails)
    fetching = likelihood_anomaly.Fetch()
    fetching.join(60)
    assert not fetching.is_alive() and fetching.found is False, "None would be waited for for ever"


def test_noise_and_even_sheets_are_fewer():
    assert anomaly.sizes(200) == {DIGITS: 200, CLOTHES: 200, NOISE: 50, EVEN: 50}
    assert set(anomaly.sizes(10).values()) == {10} and anomaly.sizes(40)[NOISE] == 20


# Numbers


def test_auroc_counts_pairs():
    generator = torch.Generator().manual_seed(0)
    inside, outside = (torch.randint(6, (n,), generator=generator).double() for n in (40, 30))
    pairs = inside[:, None] - outside[None]
    expected = ((pairs > 0).double() + 0.5 * (pairs == 0).double()).mean().item()
    assert anomaly.auroc(inside, outside) == pytest.approx(expected)
    assert anomaly.auroc(outside, inside) == pytest.approx(1 - expected)


def test_auroc_at_its_ends():
    low, high = torch.tensor([-math.inf, -5.0]), torch.tensor([0.0, 1.0])
    assert anomaly.auroc(high, low) == 1 and anomaly.auroc(low, high) == 0
    assert anomaly.auroc(low, low) == 0.5


def test_bits_per_dim_of_one_bit_each():
    assert scoring.bits_per_dim(-784 * math.log(2), 784) == pytest.approx(1)


@pytest.mark.parametrize("name", NAMES)
def test_every_likelihood_has_a_kind_and_a_group(name):
    spec = registry.spec(name)
    assert scoring.kind(spec) in scoring.KINDS and scoring.group(spec) in scoring.GROUPS
    assert (scoring.group(spec) == "dequantised") == (scoring.kind(spec) == "dequantised")
    assert scoring.levels(spec) == registry.build(name).levels
    assert (scoring.group(spec) == "binary") == (scoring.levels(spec) == 2)


def test_what_is_no_number_is_no_probability():
    class Broken(Dark):
        def log_prob(self, x, labels=None, *, generator=None):
            return torch.tensor([math.nan, -1.0, math.inf])

    assert scoring.log_prob(Broken(None), torch.zeros(3, 1, 2, 2)).tolist() == [-math.inf, -1.0, math.inf]


def test_pictures_on_two_levels_stay_when_they_are_binarised_again():
    x = data.to_float(data.load("mnist", "test").images[:4])
    two = scoring.on_levels(x, 2)
    assert set(two.unique().tolist()) == {-1.0, 1.0} and torch.equal(two, scoring.on_levels(two, 2, seed=5))
    torch.testing.assert_close(scoring.on_levels(x + 0.001, 256), x)


# The scorer


def test_a_scorer_goes_through_everything_and_knows_its_share():
    one, shares = scorer(), []
    while not one.done:
        one.advance()
        shares.append(one.share)
    assert one.black == 0.0 and shares[0] == 0.0 and shares[-1] == 1.0 and shares == sorted(shares)
    assert {key: len(v) for key, v in one.values.items()} == {DIGITS: 12, NOISE: 12, EVEN: 12}
    for key, x in one.sets.items():
        torch.testing.assert_close(one.values[key], Dark(None).log_prob(x).double())


def test_every_kind_gets_numbers_early():
    one = scorer(num=30)
    for _ in range(4):
        one.advance()
    assert {key: len(v) for key, v in one.values.items()} == dict.fromkeys(
        (DIGITS, NOISE, EVEN), anomaly.CHUNK
    )


def test_a_likelihood_that_loves_the_dark_is_fooled_by_it():
    one = scorer(num=20)
    while not one.done:
        one.advance()
    found = one.findings()
    assert found[DIGITS].auroc is None and found[DIGITS].above is None
    assert found[NOISE].auroc == 1.0 and found[NOISE].above == 0.0  # bright pictures it tells from digits
    assert one.black_above() == 1.0  # the empty sheet it finds likelier than every digit
    values = one.values[DIGITS]
    assert found[DIGITS].nats == pytest.approx(values.mean().item())
    assert found[DIGITS].error == pytest.approx(values.std().item() / math.sqrt(20))


def test_lost_pictures_are_counted_and_left_out_of_the_mean():
    class Refuses(Dark):
        def log_prob(self, x, labels=None, *, generator=None):
            found = super().log_prob(x)
            return torch.where(torch.arange(len(x)) == 0, -math.inf, found)

    one = scorer(num=10, keys=(DIGITS,), model=Refuses(None))
    while not one.done:
        one.advance()
    found = one.findings()[DIGITS]
    assert found.num == 10 and found.num_lost == 1 and math.isfinite(found.nats)


def test_a_bound_is_the_same_every_time():
    name = next(n for n in NAMES if scoring.kind(registry.spec(n)) == "bound")
    spec, model = registry.spec(name), fresh(name)
    sets = {DIGITS: anomaly.pictures(DIGITS, 15, scoring.levels(spec))}
    first, second = (Scorer(spec, model, sets) for _ in range(2))
    for one in (first, second):
        while not one.done:
            one.advance()
    assert torch.equal(first.values[DIGITS], second.values[DIGITS]) and first.black == second.black


def test_who_has_computed_least_goes_next():
    one, two = scorer(), scorer()
    one.seconds, two.seconds = 2.0, 1.0
    assert race.next_up([one, two]) is two
    while not two.done:
        two.advance()
    assert race.next_up([one, two]) is one and race.next_up([two]) is None


# Histograms


def test_counts_leave_out_what_lies_beyond():
    scale = Scale(0.0, 10.0, Words("x", "x"))
    assert counts([0.0, 0.4, 5.0, 10.0, -1.0, 11.0, -math.inf], scale, 10) == [2, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert scale.share(-3) == 0 and scale.share(30) == 1


def test_a_histogram_is_a_drawing_that_names_everything():
    scale = Scale(-100.0, 0.0, Words("nats", "奈特"), lambda nats: -nats, Words("bits", "比特"))
    clouds = [
        Cloud(Words("one", "一"), 0, [-50.0, -40.0, -400.0, -math.inf]),
        Cloud(Words("two & more", "二"), 1, [-5.0]),
        Cloud(Words("none", "无"), 2, []),
    ]
    drawn = histogram_svg(clouds, scale, Words("t", "题"), marks=[(-10.0, Words("here", "此处"))])
    tree = ElementTree.fromstring(drawn.replace("&#160;", " "))
    text = "".join(tree.itertext())
    assert "◂ 2" in text and "two & more" in text and "here" in text and "-100" in text and "100" in text
    assert len(tree.findall(".//g")) == 2  # of an empty cloud nothing is drawn
