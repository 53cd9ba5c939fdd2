"""The commands that train and measure: what they write, and how they end when they are interrupted."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from cli_helpers import PLAIN, ROOT, TINY, draw, give_weights, only, refused, run
from cli_helpers import untouched as untouched  # a fixture for every test here
from tiny import TinyConfig

from playground import console, evaluation, pretrain, registry, weights


def test_pretraining_writes_weights_card_and_replay(capsys, monkeypatch):
    only(monkeypatch, TINY)
    status, out, err = run(capsys, "pretrain", "tiny", "--seed", 4, "--no-evaluate")
    assert (status, err) == (0, "") and "step 1 of 12" in out and "images/s" in out and "loss" in out
    card = registry.card("tiny")
    assert card["seed"] == 4 and card["num_steps"] == 12 and card["libraries"]["torch"]
    assert {"model.safetensors", "card.json", "README.md"} <= {
        p.name for p in weights.folder("tiny").iterdir()
    }
    assert draw(capsys, "tiny")["images"].shape == (3, 28, 28, 1)
    before = (weights.folder("tiny") / "model.safetensors").read_bytes()
    assert run(capsys, "pretrain", "tiny", "--seed", 4, "--resume", "--no-evaluate")[0] == 0
    assert before == (weights.folder("tiny") / "model.safetensors").read_bytes()
    assert "seed" in refused(capsys, "pretrain", "tiny", "--seed", 5, "--resume")


def test_resuming_nothing_starts_anew_and_says_so(capsys, monkeypatch):
    only(monkeypatch, TINY)
    status, _, err = run(capsys, "pretrain", "tiny", "--resume", "--no-evaluate")
    assert status == 0 and "no checkpoint of tiny" in err and len(err.splitlines()) == 1


def test_going_on_from_weights_counts_on_and_says_from_which(capsys, monkeypatch):
    only(monkeypatch, TINY)
    run(capsys, "pretrain", "tiny", "--no-evaluate")
    first, content = registry.card("tiny"), (weights.folder("tiny") / "model.safetensors").read_bytes()
    only(monkeypatch, replace(TINY, recipe=replace(TINY.recipe, num_steps=20)))
    status, out, _ = run(capsys, "pretrain", "tiny", "--from-weights", "--no-evaluate")
    second = registry.card("tiny")
    assert status == 0 and "step 13 of 20" in out and "step 1 of" not in out
    assert second["num_steps"] == 20 and second["went_on_from"] == first["sha256"]
    assert first["went_on_from"] is None and len(second["minutes"]) == 2
    assert content != (weights.folder("tiny") / "model.safetensors").read_bytes()
    curve = json.loads((weights.folder("tiny") / "replay.json").read_text())["losses"]["loss"]
    assert [step for step, _ in curve] == list(range(1, 21))


def test_switches_of_a_run_are_set_told_on_the_card_and_kept(capsys, monkeypatch):
    only(monkeypatch, TINY)
    status, _, _ = run(capsys, "pretrain", "tiny", "--set", "decay=none", "--no-evaluate")
    first = registry.card("tiny")
    assert (
        status == 0 and first["switches"]["decay"] == "none" and first["changes"] == [[0, {"decay": "none"}]]
    )
    only(monkeypatch, replace(TINY, recipe=replace(TINY.recipe, num_steps=20)))
    again = ("pretrain", "tiny", "--from-weights", "--no-evaluate", "--set", "lr=0.5")
    assert run(capsys, *again)[0] == 0
    second = registry.card("tiny")
    assert second["changes"] == [[0, {"decay": "none"}], [first["num_steps"], {"lr": 0.5}]]
    assert second["switches"]["decay"] == "none" and second["switches"]["lr"] == 0.5
    assert second["source"].endswith("with `--set lr=0.5` from update 12 on")
    assert "beta" in refused(capsys, "pretrain", "tiny", "--set", "beta=1")
    assert "sudden" in refused(capsys, "pretrain", "tiny", "--set", "decay=sudden")
    assert "--set lr=0.5" in console.how_to_resume("tiny", None, 0, ["lr=0.5"], None)


def test_divergence_is_one_line(capsys, monkeypatch):
    only(monkeypatch, replace(TINY, config=TinyConfig(side=28, diverge_at=5)))
    status, _, err = run(capsys, "pretrain", "tiny")
    assert status == 2 and "step 5" in err and len(err.splitlines()) == 1


INTERRUPTED = """
import sys
from dataclasses import replace
import cli_helpers
from playground import cli, registry
tiny = replace(cli_helpers.TINY, recipe=replace(cli_helpers.TINY.recipe, num_steps=10**6))
registry._specs = lambda: {"tiny": tiny}
sys.exit(cli.run(["pretrain", "tiny"]))
"""


def test_an_interrupt_keeps_a_checkpoint_and_says_how_to_go_on():
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], env=environment, stdout=-1, stderr=-1, text=True
    )
    assert process.stdout is not None and "step 1 " in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 2 and len(err.splitlines()) == 1
    assert "python -m playground pretrain tiny --resume" in err and "Stopped at step" in err
    state = torch.load(pretrain.checkpoint_path("tiny"), weights_only=True)
    assert f"step {state['step']:,};" in err


def test_the_first_interrupt_waits_for_the_update_and_the_second_does_not():
    before = signal.getsignal(signal.SIGTERM)
    with console.interruptible() as seen:
        os.kill(os.getpid(), signal.SIGTERM)
        assert seen == [signal.SIGTERM]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_evaluating_prints_and_writes_the_numbers(capsys, monkeypatch):
    metrics = {"fid": {"value": 1.5, "num": 20, "floor": 0.5, "times_floor": 3.0}}
    asked = []

    def steps(name, num, only):
        asked.append(only)
        yield evaluation.EvalEvent("samples", 10, num, 1.0)
        yield evaluation.EvalEvent("done", num, num, 0.0, metrics)

    monkeypatch.setattr(evaluation, "evaluate_steps", steps)
    give_weights(PLAIN)
    status, out, err = run(capsys, "evaluate", PLAIN, "--num", 20)
    assert (status, err) == (0, "") and re.search(r"fid +1.5 +N = 20", out)
    assert registry.card(PLAIN)["metrics"] == {}
    status, out, err = run(capsys, "evaluate", "--num", 20, "--json", "--write")
    assert status == 0 and json.loads(out) == {PLAIN: metrics} and registry.card(PLAIN)["metrics"] == metrics
    assert run(capsys, "evaluate", PLAIN, "--num", 20, "--only", "speed")[0] == 0
    assert asked == [evaluation.PARTS, evaluation.PARTS, ("speed",)]
