"""Weights on disk: written whole or not at all, and never loaded when something is wrong with them."""

import hashlib
import json
import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load
from safetensors.torch import save as save_safetensors
from tiny import SPEC, TinyConfig
from torch import nn

from playground import checkpoint, registry, training, weights
from playground.data import Images

CARD = {
    "name": "tiny", "title": "Tiny", "family": "vae", "summary": "Small.", "licence": "CC0",
    "source": "a test",
    "metrics": {"fid": {"value": 1.5, "num": 100}},
}  # fmt: skip


@pytest.fixture
def saved(tmp_path, monkeypatch) -> Path:
    """The folder of a small model's weights and card."""
    monkeypatch.setenv("PLAYGROUND_PRETRAINED", str(tmp_path))
    weights.save("tiny", make(0).state_dict(), CARD)
    return weights.folder("tiny")


def make(seed: int, width: int = 5) -> nn.Module:
    """A small network with buffers."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width))
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return net


def refused(model: nn.Module) -> str:
    """The message with which loading is refused, with nothing of the model changed."""
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(weights.WeightsError) as caught:
        weights.load_state("tiny", model)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    message = str(caught.value)
    assert "tiny" in message and "\n" not in message and message.endswith(".")
    return message


def test_large_weights_are_stored_in_two_bytes_a_number():
    large = {"weight": torch.randn(1700, 1700), "count": torch.tensor(3)}
    content, card = weights.pack(large, {})
    assert len(content) < 10 * 2**20 < large["weight"].numel() * 4 and card["precision"] == "bfloat16"
    model = nn.Linear(1700, 1700, bias=False)
    weights._fill("large", model, {"weight": load(content)["weight"]})
    assert model.weight.dtype == torch.float32
    torch.testing.assert_close(model.weight.detach(), large["weight"], rtol=2**-8, atol=1e-6)
    assert load(content)["count"] == 3
    assert weights.pack({"weight": torch.zeros(10)}, {})[1]["precision"] == "float32"


def test_weights_survive_the_round_trip(saved):
    model = make(1)
    weights.load_state("tiny", model)
    expected = make(0).state_dict()
    assert all(torch.equal(expected[key], value) for key, value in model.state_dict().items())
    card = weights.read_card("tiny")
    assert card["metrics"] == CARD["metrics"] and len(card["sha256"]) == 64
    assert card["shapes"] == {key: list(value.shape) for key, value in expected.items()}
    assert sorted(path.name for path in saved.iterdir()) == ["README.md", "card.json", "model.safetensors"]


@pytest.mark.parametrize("position", [0.01, 0.3, 0.6, 0.99])
def test_a_flipped_bit_is_noticed(saved, position):
    path = saved / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 1
    path.write_bytes(content)
    assert "damaged" in refused(make(1))


@pytest.mark.parametrize("kept", [0, 7, 100])
def test_a_truncated_file_is_noticed(saved, kept):
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    assert "damaged" in refused(make(1))


def test_another_architecture_is_refused(saved):
    message = refused(make(1, width=6))
    assert "do not fit" in message and "0.bias" in message and "(5,)" in message


def test_a_missing_tensor_is_refused(saved):
    state = make(0).state_dict()
    del state["0.weight"]
    weights.save("tiny", state, CARD)
    message = refused(make(1))
    assert "0.weight" in message and "the shape -" in message


def test_a_missing_file_is_named(saved):
    (saved / "model.safetensors").unlink()
    assert "model.safetensors" in refused(make(1))


def test_a_missing_card_says_how_to_make_it(saved):
    (saved / "card.json").unlink()
    assert "python -m playground pretrain tiny" in refused(make(1))


def test_another_weights_file_under_the_card_is_refused(saved):
    (saved / "model.safetensors").write_bytes(save_safetensors(make(2).state_dict()))
    assert "sha256" in refused(make(1))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"name": "tiny"}', '{"sha256": 5}', "\xff\xfe"])
def test_a_broken_card_is_refused(saved, text):
    (saved / "card.json").write_bytes(text.encode("latin-1"))
    assert "card" in refused(make(1))


def test_a_card_that_vouches_for_garbage_is_refused(saved):
    garbage = b"\x00" * 64
    (saved / "model.safetensors").write_bytes(garbage)
    card = json.loads((saved / "card.json").read_text())
    card["sha256"] = hashlib.sha256(garbage).hexdigest()
    (saved / "card.json").write_text(json.dumps(card))
    assert "safetensors" in refused(make(1))


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    weights.atomic_write(path, b"old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        weights.atomic_write(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["file"]


def test_several_may_write_one_file_at_once_and_none_is_ever_seen_empty(tmp_path):
    path, stop = tmp_path / ("n" * 240), threading.Event()
    weights.atomic_write(path, b"x" * 10**6)

    def write() -> None:
        while not stop.is_set():
            weights.atomic_write(path, b"x" * 10**6)

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write) for _ in range(3)]
        sizes = {path.stat().st_size for _ in range(3000)}
        stop.set()
        [writer.result() for writer in writers]
    assert sizes == {10**6} and len(list(tmp_path.iterdir())) == 1


def test_what_a_crash_left_goes_and_nothing_else(tmp_path):
    old, new, other = (tmp_path / name for name in (".playground-partial-1", ".playground-partial-2", ".x"))
    for path in (old, new, other):
        path.write_bytes(b"")
    for path in (old, other):
        os.utime(path, (0, 0))
    weights.atomic_write(tmp_path / "file", b"")
    assert not old.exists() and new.exists() and other.exists()


@pytest.mark.parametrize("metrics", [None, [], {"fid": 1}, {"fid": {}}])
def test_a_card_whose_metrics_make_no_sense_is_refused(saved, metrics):
    card = json.loads((saved / "card.json").read_text())
    (saved / "card.json").write_text(json.dumps(card | {"metrics": metrics}))
    assert "metrics" in refused(make(1))


def checkpoint_forever(state: training.Training, path: Path, pipe) -> None:
    """What the killed process does: one checkpoint after the other, saying which ones are complete."""
    while True:
        checkpoint.save(state, path, {"note": state.step})
        pipe.send(state.step)
        state.step += 1


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_kill_9_while_checkpointing_leaves_the_last_complete_one(tmp_path):
    """A process that does nothing but checkpoint is killed twelve times; each time the last one resumes."""
    spec = replace(SPEC, config=TinyConfig(width=20_000))  # 10 MB a checkpoint
    images = Images(
        "squares", torch.zeros(40, 1, 4, 4, dtype=torch.uint8), torch.zeros(40).long(), ("square",)
    )
    path, fork = tmp_path / "checkpoint.pt", multiprocessing.get_context("fork")
    for attempt in range(12):
        receiver, sender = fork.Pipe(duplex=False)
        state = training.Training(spec, images)
        process = fork.Process(target=checkpoint_forever, args=(state, path, sender), daemon=True)
        process.start()
        complete = receiver.recv()
        time.sleep(0.013 * attempt)
        process.kill()
        process.join()
        while receiver.poll():
            complete = receiver.recv()
        note = checkpoint.resume(state, path)["note"]
        assert note == state.step and note >= complete
    state.step = 0
    next(training.train(state))


def test_everyone_shares_one_loaded_model(monkeypatch):
    """Many threads ask at once, one loads."""
    name = next((name for name in registry.names() if registry.shipped(name)), None)
    if name is None:
        pytest.skip("no shipped weights")
    loads: list[str] = []
    real = weights.load_state
    monkeypatch.setattr(weights, "load_state", lambda n, m: (loads.append(n), real(n, m)))
    registry.unload()
    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(registry.load, [name] * 8))
    assert len({id(model) for model in models}) == 1 and loads == [name]
    assert not models[0].training and not any(p.requires_grad for p in models[0].parameters())
