"""What a model shows of itself while it trains, and that translators train in the Train tab."""

import dataclasses

import pytest
import torch
from contract_helpers import fresh

from playground import data, previews, registry, schedules
from playground.data import pairs
from playground.tabs import train_charts, train_form, train_request
from playground.validation import InvalidInput

TRANSLATORS = registry.names("Translates")


def test_whatever_draws_or_translates_has_previews():
    assert set(previews.names()) == {*registry.names("Samples"), *TRANSLATORS}
    assert not set(previews.names()) & set(registry.names("Classifies"))


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_translator_shows_four_held_out_pairs(name):
    spec, model = registry.spec(name), fresh(name)
    shown = previews.draw(spec, model, spec.dataset, 0, torch.device("cpu"))
    a, b = pairs.halves(spec.dataset, data.to_float(data.load(spec.dataset, "test").images))
    step = len(a) // 4
    channels = max(model.channels)
    assert shown.shape == (previews.NUM_PREVIEWS, channels, *a.shape[2:])
    for row in range(4):
        four, place = shown[4 * row : 4 * row + 4], slice(row * step, row * step + 1)
        assert torch.equal(four[:1], a[place].expand(-1, channels, -1, -1))
        assert torch.equal(four[2:3], b[place].expand(-1, channels, -1, -1))
        made = model.translate(a[place], "ab").expand(-1, channels, -1, -1)
        torch.testing.assert_close(four[1:2], made)
    assert torch.equal(shown, previews.draw(spec, model, spec.dataset, 9, torch.device("cpu")))


@pytest.mark.parametrize("name", TRANSLATORS)
def test_it_can_be_asked_for_on_its_own_pairs(name):
    spec = registry.spec(name)
    asked = train_request.check(name, spec.dataset, 0, 5, None, None, None)
    assert asked.spec == spec and train_request.datasets(spec) == (spec.dataset,)
    assert "/" in train_request.data_title(spec.dataset)
    with pytest.raises(InvalidInput):
        train_request.check(name, "mnist", 0, 5, None, None, None)
    own = {switch.key for switch in train_form.own_switches(spec)}
    assert {"lr", "decay", "lr_d"} < own


def test_a_classifier_cannot_be_asked_for():
    with pytest.raises(InvalidInput):
        train_request.trainable(registry.names("Classifies")[0])


def test_the_losses_of_both_directions_share_one_figure():
    names = ("loss_d_a", "loss_d_b", "loss_g_ab", "loss_g_ba", "cycle_a", "cycle_b", "idt_a", "idt_b")
    assert set(train_charts.main_names(names)) == set(names[:4])
    assert [chart.key for chart in train_charts.charts_of(names)] == ["cycle", "identity"]
    spec = registry.spec(TRANSLATORS[0])
    assert "cycle" in [chart.key for chart in train_charts.expected(spec, spec.dataset)]


def test_the_learning_rate_falls_over_the_second_half():
    recipe = dataclasses.replace(registry.spec("cyclegan").recipe, warmup=0, final_lr=0.0)
    found = [schedules.lr_factor(recipe, 0, progress) for progress in (0.0, 0.3, 0.5, 0.75, 1.0)]
    assert found == [1.0, 1.0, 1.0, 0.5, 0.0]
