"""What test_distributed.py launches in several processes: `pretrain tiny`, and what each of them sees."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from tiny import SPEC, TinyConfig

from playground import cli, pretrain, registry, training

LOUD = replace(SPEC, config=TinyConfig(side=28, scale=100.0))


class Watched(training.Training):
    """Keeps what it is after its first update and at its end."""

    def update(self):
        happened = super().update()
        if self.step == 1:
            parts = (self.model.state_dict(), self.optimizers["net"].state_dict()["state"], happened[0])
            self.first = [{key: clone(value) for key, value in part.items()} for part in parts]
        return happened


def clone(value):
    """A copy that later updates do not change."""
    if isinstance(value, dict):
        return {key: clone(one) for key, one in value.items()}
    return value.clone() if isinstance(value, torch.Tensor) else value


def main(folder: Path, *options: str) -> int:
    """Run the command and write what this process saw to a file of its own."""
    runs = []
    pretrain.Training = lambda *args, **how: runs.append(Watched(*args, **how)) or runs[0]
    registry._specs = lambda: {"tiny": LOUD}
    status = cli.run(["pretrain", "tiny", *options])
    (run,) = runs
    state = {"step": run.step, "elapsed": run.elapsed, "first": run.first, "model": run.model.state_dict()}
    state |= {"ema": run.ema.module.state_dict(), "generator": run.generator.get_state()}
    torch.save(state, folder / f"{os.environ['RANK']}.pt")
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
