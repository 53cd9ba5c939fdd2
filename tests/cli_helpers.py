"""What the tests of the command line share."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import SPEC, TinyConfig

from playground import cli, registry, weights

ROOT = Path(__file__).resolve().parent.parent
CARD = {"title": "T", "family": "vae", "summary": "S.", "licence": "L", "source": "s", "metrics": {}}
SAMPLERS = registry.names("Samples")
PLAIN = next(name for name in SAMPLERS if not registry.spec(name).conditional)
CONDITIONAL = next(name for name in SAMPLERS if registry.spec(name).conditional)
TINY = replace(SPEC, config=TinyConfig(side=28))


@pytest.fixture(autouse=True)
def untouched(tmp_path, monkeypatch):
    """Weights and checkpoints of these tests live in a folder of their own."""
    monkeypatch.setenv("PLAYGROUND_PRETRAINED", str(tmp_path / "pretrained"))
    monkeypatch.setenv("PLAYGROUND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PLAYGROUND_DEVICE", "cpu")
    monkeypatch.chdir(tmp_path)
    registry.unload()
    yield
    registry.unload()


def give_weights(*names: str) -> None:
    """Untrained weights, which draw as well as others for what is tested here."""
    for name in names:
        weights.save(name, registry.build(name).state_dict(), CARD | {"name": name})


def only(monkeypatch, *specs) -> None:
    """The registry holds these models and no others."""
    monkeypatch.setattr(registry, "_specs", lambda: {spec.name: spec for spec in specs})


def run(capsys, *arguments) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    status = cli.run([str(argument) for argument in arguments])
    return status, *capsys.readouterr()


def quick(name: str) -> list[str]:
    """The controls of quick previews as --set options."""
    return [
        part for key, value in registry.spec(name).preview.items() for part in ("--set", f"{key}={value}")
    ]


def draw(capsys, name: str, *options, num: int = 3) -> dict[str, np.ndarray]:
    """What `sample` writes into an .npz."""
    assert run(capsys, "sample", name, "-n", num, *quick(name), "-o", "x.npz", *options) == (0, "", "")
    with np.load("x.npz") as file:
        return dict(file)


def refused(capsys, *arguments) -> str:
    """The one line with which a command is refused."""
    status, out, err = run(capsys, *arguments)
    assert status == 2 and out == ""
    assert err.endswith("\n") and len(err.splitlines()) == 1 and "Traceback" not in err
    return err.strip()
