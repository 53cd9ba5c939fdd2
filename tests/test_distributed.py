"""Several processes that train together: equal weights, the mean of their gradients, one who writes."""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from cli_helpers import ROOT
from together import LOUD

from playground import data, distributed, training
from playground.nn import update

SEED = 4
PORT = ("--main_process_port", "0")  # any that is free
LAUNCHERS = {
    "accelerate": ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", *PORT],
    "torch": ["torch.distributed.run", "--nproc_per_node", "2", "--standalone"],
}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder of a run by two processes, what each saw of it, and what they printed."""
    folder = tmp_path_factory.mktemp("together")
    installed = "accelerate" if importlib.util.find_spec("accelerate") else "torch"
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        "PLAYGROUND_PRETRAINED": str(folder / "pretrained"),
        "PLAYGROUND_CACHE": str(folder / "cache"),
        "PLAYGROUND_DEVICE": "cpu",
        "OMP_NUM_THREADS": "1",
    }
    script = [str(ROOT / "tests" / "together.py"), str(folder)]
    options = ["--minutes", "0.01", "--seed", str(SEED), "--no-evaluate"]
    command = [sys.executable, "-m", *LAUNCHERS[installed], *script, *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder, [torch.load(folder / f"{rank}.pt") for rank in range(2)], done.stdout


def test_all_stop_at_the_same_update_with_equal_weights(two):
    _, (main, other), _ = two
    assert main["step"] == other["step"] >= 1 and main["elapsed"] == other["elapsed"] >= 0.6
    for part in ("model", "ema"):
        for key, value in main[part].items():
            assert torch.equal(value, other[part][key]), (part, key)
    assert not torch.equal(main["generator"], other["generator"])


def test_an_update_is_that_of_one_process_with_the_mean_of_the_gradients(two):
    _, (main, other), _ = two
    recipe = replace(LOUD.recipe, batch_size=2 * LOUD.recipe.batch_size)
    alone = training.Training(LOUD, data.load(LOUD.dataset, "train"), recipe, seed=SEED)
    shares = alone.batch(0).x.chunk(2)
    noises = [torch.Generator().manual_seed(SEED), torch.Generator().manual_seed(SEED + distributed._APART)]
    losses = [alone.model.loss(x, noise) for x, noise in zip(shares, noises, strict=True)]
    (group,) = alone.optimizers["net"].param_groups
    group["lr"] *= training.lr_factor(recipe, 0, 0.0)
    update(sum(losses) / 2, alone.optimizers["net"], 1.0)
    assert sum(moment["exp_avg"].norm() ** 2 for moment in alone.optimizers["net"].state.values()) > 0.009
    for weights, moments, metrics in (main["first"], other["first"]):
        for key, value in alone.model.named_parameters():
            torch.testing.assert_close(weights[key], value.detach())
        for key, value in alone.optimizers["net"].state_dict()["state"].items():
            torch.testing.assert_close(moments[key], value)
        assert metrics["loss"] == pytest.approx(sum(losses).item() / 2)


def test_gradients_are_taken_only_where_they_are_averaged():
    sources = (ROOT / "playground").rglob("*.py")
    assert [p.name for p in sources if ".backward(" in p.read_text(encoding="utf-8")] == ["nn.py"]


def test_one_of_them_writes_and_prints(two):
    folder, (main, _), printed = two
    assert [p.name for p in (folder / "cache").rglob("*") if p.is_file()] == ["tiny.pt"]
    card = json.loads((folder / "pretrained" / "tiny" / "card.json").read_text())
    assert card["num_processes"] == 2 and card["num_steps"] == main["step"]
    assert card["num_images"] == 2 * LOUD.recipe.batch_size * main["step"]
    assert printed.count("step 1 of") == printed.count("The weights are in") == 1


def test_alone_nothing_is_exchanged():
    model, metrics = torch.nn.BatchNorm1d(2), {"loss": float("nan")}
    distributed.average_gradients(model.parameters())
    distributed.follow_main(model, whole=True)
    assert distributed.mean(metrics) is metrics and distributed.clock(2.5) == 2.5
    assert distributed.stream(7) == 7 and distributed.size() == 1 and distributed.is_main()
