"""Training: resuming gives the same bits, divergence is caught, schedule and average do what they say."""

import math
from dataclasses import replace

import pytest
import torch
from tiny import RECIPE, SPEC, TinyConfig
from torch import nn

from playground import checkpoint, training
from playground.data import Images
from playground.spec import Recipe
from playground.weights import WeightsError


@pytest.fixture
def images():
    pixels = torch.randint(
        0, 256, (40, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return Images("squares", pixels, torch.zeros(40, dtype=torch.int64), ("square",))


def run(state: training.Training, num: int) -> list[training.TrainEvent]:
    """The next `num` events; without a preview every event is one update."""
    events = training.train(state)
    return [next(events) for _ in range(num)]


def same(a: nn.Module, b: nn.Module) -> bool:
    """Whether two models hold the same bits, buffers included."""
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize("stop_at", [1, 4, 5, 11])
def test_resuming_gives_the_same_bits(images, tmp_path, stop_at):
    whole = training.Training(SPEC, images, seed=3)
    losses = [event.metrics for event in training.train(whole)]
    first = training.Training(SPEC, images, seed=3)
    run(first, stop_at)
    checkpoint.save(first, tmp_path / "c.pt", {"note": "kept"})
    second = training.Training(SPEC, images, seed=3)
    assert checkpoint.resume(second, tmp_path / "c.pt") == {"note": "kept"}
    rest = [event.metrics for event in training.train(second)]
    assert second.step == whole.step == 12
    assert same(whole.model, second.model) and same(whole.ema, second.ema)
    assert losses[stop_at:] == rest


def test_the_same_seed_trains_the_same_model_and_another_seed_another(images):
    models = []
    for seed in (1, 1, 2):
        state = training.Training(SPEC, images, seed=seed)
        run(state, 5)
        models.append(state.model)
    assert same(models[0], models[1]) and not same(models[0], models[2])


def test_previews_do_not_change_the_result(images):
    plain, watched = (training.Training(SPEC, images, seed=0) for _ in range(2))
    list(training.train(plain))
    frames = [
        event.samples for event in training.train(watched, preview="moments") if event.samples is not None
    ]
    assert same(plain.model, watched.model) and same(plain.ema, watched.ema)
    assert 1 <= len(frames) <= 12 and all(frame.shape == (16, 1, 4, 4) for frame in frames)


@pytest.mark.parametrize("change", ["seed", "recipe", "dataset", "model"])
def test_a_checkpoint_of_another_run_is_refused(images, tmp_path, change):
    state = training.Training(SPEC, images, seed=0)
    run(state, 2)
    checkpoint.save(state, tmp_path / "c.pt")
    spec = replace(SPEC, name="other") if change == "model" else SPEC
    recipe = replace(RECIPE, lr=0.5) if change == "recipe" else RECIPE
    other = training.Training(
        spec,
        replace(images, name="discs") if change == "dataset" else images,
        recipe,
        seed=int(change == "seed"),
    )
    with pytest.raises(WeightsError, match="another"):
        checkpoint.resume(other, tmp_path / "c.pt")


@pytest.mark.parametrize("damage", ["missing", "truncated", "garbage", "empty"])
def test_a_damaged_checkpoint_is_refused_in_one_sentence(images, tmp_path, damage):
    path = tmp_path / "c.pt"
    state = training.Training(SPEC, images)
    run(state, 1)
    checkpoint.save(state, path)
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(
            {"truncated": content[: len(content) // 2], "garbage": b"\x80" * 999, "empty": b""}[damage]
        )
    with pytest.raises(WeightsError, match="cannot be read") as caught:
        checkpoint.resume(state, path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("diverge_at", [1, 2, 9])
def test_divergence_says_where_and_keeps_the_last_good_state(images, diverge_at):
    state = training.Training(replace(SPEC, config=TinyConfig(diverge_at=diverge_at)), images, RECIPE)
    events = training.train(state)
    for _ in range(diverge_at - 1):
        next(events)
    with pytest.raises(training.TrainingDiverged, match=f"step {diverge_at} .*learning rate") as caught:
        next(events)
    assert caught.value.step == diverge_at and 0 < caught.value.lr <= RECIPE.lr
    assert all(value.isfinite().all() for value in state.model.state_dict().values())
    assert all(value.isfinite().all() for value in state.ema.state_dict().values())


def test_weights_that_a_finite_loss_spoilt_are_not_kept_in_the_average_either(images):
    state = training.Training(SPEC, images, RECIPE)
    step = state.model.train_step

    def spoil(batch, optimizers):
        metrics = step(batch, optimizers)
        with torch.no_grad():
            if batch.step == 3:  # the loss before the update was finite
                next(state.model.parameters()).fill_(math.nan)
        return metrics

    state.model.train_step = spoil
    with pytest.raises(training.TrainingDiverged):
        for _ in training.train(state):
            pass
    assert state.step == 4
    assert all(value.isfinite().all() for value in state.model.state_dict().values())
    assert all(value.isfinite().all() for value in state.ema.state_dict().values())


def test_the_learning_rate_warms_up_and_decays():
    recipe = Recipe(num_steps=100, warmup=10, final_lr=0.1)
    factors = [training.lr_factor(recipe, step, step / 100) for step in range(100)]
    assert factors[0] == pytest.approx(0.1, rel=0.01)
    assert factors[:10] == sorted(factors[:10]) and factors[10:] == sorted(factors[10:], reverse=True)
    assert training.lr_factor(recipe, 99, 1.0) == pytest.approx(0.1)
    assert training.lr_factor(replace(recipe, warmup=0), 50, 0.5) == pytest.approx(0.55)
    assert training.lr_factor(replace(recipe, decay="linear"), 50, 0.5) == pytest.approx(0.55)
    assert training.lr_factor(replace(recipe, decay="linear"), 75, 0.75) == pytest.approx(0.325)
    assert training.lr_factor(replace(recipe, decay="none"), 75, 0.75) == 1


def test_optimisers_follow_the_schedule(images):
    state = training.Training(SPEC, images)
    for event in training.train(state):
        assert state.optimizers["net"].param_groups[0]["lr"] == pytest.approx(RECIPE.lr * event.lr)
    assert event.lr < 0.2


def test_the_average_is_the_written_one(images):
    """Decay min(0.9, (1 + n) / (10 + n)) on every parameter, starting at the first update."""
    state = training.Training(SPEC, images)
    mean = None
    for n in range(12):
        run(state, 1)
        now = [p.detach().clone() for p in state.model.parameters()]
        decay = min(0.9, (1 + n) / (10 + n))
        mean = now if mean is None else [decay * m + (1 - decay) * p for m, p in zip(mean, now, strict=True)]
    for ours, theirs in zip(mean, state.ema.module.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_an_epoch_shows_every_picture_once(images):
    state = training.Training(SPEC, images)
    epochs = [torch.cat([state.batch(step).x for step in range(5 * k, 5 * k + 5)]) for k in (0, 1)]
    for pixels in epochs:
        assert len({row.numpy().tobytes() for row in pixels}) == 40
    assert not torch.equal(*epochs)


def test_events_count_and_end(images):
    state = training.Training(SPEC, images)
    events = list(training.train(state))
    assert [event.step for event in events] == list(range(1, 13))
    assert events[-1].progress == 1 and events[-1].eta == 0 and events[0].num_steps == 12
    assert all(event.images_per_second > 0 and math.isfinite(event.eta) for event in events)
    assert all(event.samples is None for event in events)


def test_a_budget_in_minutes_ends_in_time(images):
    state = training.Training(SPEC, images, minutes=0.003)  # 180 ms
    events = list(training.train(state))
    assert 0.18 <= state.elapsed < 1.5 and events[-1].progress == 1
    assert events[-1].num_steps == events[-1].step == len(events)


def test_closing_the_iterator_stops_and_not_asking_pauses(images):
    state = training.Training(SPEC, images)
    events = training.train(state)
    next(events)
    assert state.step == 1
    events.close()
    assert state.step == 1 and list(events) == []
    assert [event.step for event in run(state, 2)] == [2, 3]
