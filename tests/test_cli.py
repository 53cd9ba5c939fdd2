"""The command line's contract: what it writes, and one line with exit status 2 for whatever is wrong."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import test_training
import torch
from PIL import Image

from playground import cli, evaluation, figures, listing, pretrain, registry, weights
from playground.spec import GenerativeModel, Translates

ROOT = Path(__file__).resolve().parent.parent
CARD = {"title": "T", "family": "vae", "summary": "S.", "licence": "L", "source": "s", "metrics": {}}
SAMPLERS = registry.names("Samples")
PLAIN = next(name for name in SAMPLERS if not registry.spec(name).conditional)
CONDITIONAL = next(name for name in SAMPLERS if registry.spec(name).conditional)
TINY = replace(test_training.SPEC, config=test_training.TinyConfig(side=28))


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


def test_list_says_what_there_is(capsys):
    status, out, err = run(capsys, "list", "--json")
    found = json.loads(out)
    assert (status, err) == (0, "") and [row["name"] for row in found] == registry.names()
    for row in found:
        assert {"family", "dataset", "conditional", "capabilities", "parameters", "metrics"} <= row.keys()
        assert row["parameters"] > 0 and isinstance(row["conditional"], bool)
    status, out, err = run(capsys, "list")
    assert status == 0 and all(re.search(rf"^{name} ", out, re.MULTILINE) for name in registry.names())


def test_samples_of_an_unconditional_model(capsys):
    give_weights(PLAIN)
    found = draw(capsys, PLAIN, "--seed", 5)
    assert found["images"].shape == (3, 28, 28, 1) and found["images"].dtype == np.uint8
    assert found["labels"].dtype == np.int64 and found["labels"].tolist() == [-1, -1, -1]
    assert np.array_equal(found["images"], draw(capsys, PLAIN, "--seed", 5)["images"])
    assert not np.array_equal(found["images"], draw(capsys, PLAIN, "--seed", 6)["images"])


def test_samples_of_a_conditional_model(capsys):
    give_weights(CONDITIONAL)
    found = draw(capsys, CONDITIONAL, num=12)
    assert found["labels"].tolist() == [*range(10), 0, 1]
    assert draw(capsys, CONDITIONAL, "--label", 7)["labels"].tolist() == [7, 7, 7]


def test_a_longer_run_begins_like_a_shorter_one(capsys, monkeypatch):
    monkeypatch.setattr(cli, "BATCH", 2)
    give_weights(PLAIN)
    short, long = (draw(capsys, PLAIN, num=num)["images"] for num in (4, 7))
    assert len(long) == 7 and np.array_equal(long[:4], short)


def test_a_png_is_a_grid_that_remembers_its_request(capsys):
    give_weights(PLAIN)
    assert run(capsys, "sample", PLAIN, "-n", 4, "--seed", 9, *quick(PLAIN), "-o", "x.PNG")[0] == 0
    request = figures.read_request(Path("x.PNG").read_bytes())
    assert request["model"] == PLAIN and request["seed"] == 9 and request["num"] == 4
    with Image.open("x.PNG") as picture:
        assert picture.size == (58, 58)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "command"),
        (("frobnicate",), "frobnicate"),
        (("sample",), "NAME"),
        (("sample", PLAIN), "-o"),
        (("sample", "nope", "-o", "x.png"), PLAIN),
        (("sample", "../../etc/passwd", "-o", "x.png"), PLAIN),
        (("sample", "", "-o", "x.png"), PLAIN),
        (("sample", PLAIN, "-n", "0", "-o", "x.png"), "from 1 to 100000"),
        (("sample", PLAIN, "-n", "100001", "-o", "x.png"), "from 1 to 100000"),
        (("sample", PLAIN, "-n", "-5", "-o", "x.png"), "from 1 to 100000"),
        (("sample", PLAIN, "-n", "many", "-o", "x.png"), "integer"),
        (("sample", PLAIN, "-n", "1.5", "-o", "x.png"), "integer"),
        (("sample", PLAIN, "-n", "9" * 400, "-o", "x.png"), "100000"),
        (("sample", PLAIN, "--seed", "-1", "-o", "x.png"), "Seed"),
        (("sample", PLAIN, "--seed", "nan", "-o", "x.png"), "integer"),
        (("sample", PLAIN, "--label", "3", "-o", "x.png"), "label"),
        (("sample", CONDITIONAL, "--label", "10", "-o", "x.png"), "0 to 9"),
        (("sample", CONDITIONAL, "--label", "-1", "-o", "x.png"), "0 to 9"),
        (("sample", CONDITIONAL, "--label", "seven", "-o", "x.png"), "0 to 9"),
        (("sample", PLAIN, "--set", "nonsense=1", "-o", "x.png"), "nonsense"),
        (("sample", PLAIN, "--set", "nonsense", "-o", "x.png"), "key=value"),
        (("sample", PLAIN, "-o", "x.gif"), ".png or .npz"),
        (("sample", PLAIN, "-o", "x"), ".png or .npz"),
        (("sample", PLAIN, "-o", ""), ".png or .npz"),
        (("sample", PLAIN, "-o", "nowhere/x.png"), "nowhere"),
        (("sample", PLAIN, "--frobnicate", "-o", "x.png"), "--frobnicate"),
        (("sample", PLAIN, "-o", "x.png"), f"pretrain {PLAIN}"),
        (("pretrain", "nope"), PLAIN),
        (("pretrain", PLAIN, "--minutes", "nan"), "Minutes"),
        (("pretrain", PLAIN, "--minutes", "0"), "Minutes"),
        (("pretrain", PLAIN, "--minutes", "inf"), "Minutes"),
        (("pretrain", PLAIN, "--seed", "1" * 30), "Seed"),
        (("evaluate", "nope"), PLAIN),
        (("evaluate", PLAIN), f"pretrain {PLAIN}"),
        (("evaluate", PLAIN, "--num", "1"), "from"),
        (("evaluate", PLAIN, "--num", "1000000"), "from"),
        (("translate", PLAIN, "in.png", "--direction", "ab", "-o", "x.png"), PLAIN),
        (("list", "--readme", "missing.md"), "missing.md"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(capsys, arguments, says):
    assert says in refused(capsys, *arguments)
    assert not list(Path.cwd().glob("x*"))


def test_outputs_that_cannot_be_written_are_refused_before_the_work(capsys, monkeypatch):
    give_weights(PLAIN)
    monkeypatch.setattr(registry, "load", lambda name: pytest.fail("the work has begun"))
    Path("folder.png").mkdir()
    assert "folder" in refused(capsys, "sample", PLAIN, "-o", "folder.png")
    if Path("/proc/self").exists():
        assert "/proc" in refused(capsys, "sample", PLAIN, "-o", "/proc/x.png")
        monkeypatch.setenv("PLAYGROUND_PRETRAINED", "/proc/weights")
        assert "/proc/weights" in refused(capsys, "pretrain", PLAIN)


def test_damaged_weights_are_one_line(capsys):
    give_weights(PLAIN)
    path = weights.folder(PLAIN) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    assert "damaged" in refused(capsys, "sample", PLAIN, "-o", "x.png")


def test_a_device_that_is_not_there_is_one_line(capsys, monkeypatch):
    give_weights(PLAIN)
    monkeypatch.setenv("PLAYGROUND_DEVICE", "abacus")
    assert "PLAYGROUND_DEVICE" in refused(capsys, "sample", PLAIN, "-o", "x.png")


@pytest.mark.parametrize(
    ("error", "says"),
    [(KeyboardInterrupt(), "Interrupted"), (MemoryError(), "memory"), (KeyError("a\nb"), "KeyError"),
     (torch.OutOfMemoryError("CUDA\nout of memory"), "memory"), (TypeError(), "TypeError")],
)  # fmt: skip
def test_what_nobody_expected_is_one_line_too(capsys, monkeypatch, error, says):
    def fail(name):
        raise error

    monkeypatch.setattr(registry, "load", fail)
    assert says in refused(capsys, "sample", PLAIN, "-o", "x.png")


class Negative(GenerativeModel, Translates):
    """a to b inverts the colours, b to a does nothing."""

    def __init__(self, config):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(-1.0))

    def translate(self, x, direction):
        return x * self.scale if direction == "ab" else x


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "1"])
def test_translating_a_picture(capsys, monkeypatch, mode):
    only(monkeypatch, replace(TINY, name="negative", model=Negative, dataset="emoji_noto"))
    give_weights("negative")
    Image.new("RGB", (100, 80), "white").convert(mode).save("in.png")
    for direction, value in (("ab", 0), ("ba", 255)):
        command = ("translate", "negative", "in.png", "--direction", direction, "-o", "out.png")
        assert run(capsys, *command) == (0, "", "")
        with Image.open("out.png") as picture:
            assert picture.size == (64, 64) and picture.getpixel((5, 5)) == (value,) * 3


def test_translating_shows_alpha_on_white_and_keeps_sixteen_bits(capsys, monkeypatch):
    only(monkeypatch, replace(TINY, name="negative", model=Negative, dataset="emoji_noto"))
    give_weights("negative")
    grey = Image.fromarray(np.full((9, 9), 0x8080, np.uint16))
    for source, value in ((Image.new("RGBA", (9, 9), (255, 0, 0, 0)), 255), (grey, 128)):
        source.save("in.png")
        assert run(capsys, "translate", "negative", "in.png", "--direction", "ba", "-o", "out.png")[0] == 0
        with Image.open("out.png") as picture:
            assert picture.getpixel((5, 5)) == (value,) * 3


def test_pictures_that_cannot_be_translated(capsys, monkeypatch):
    only(monkeypatch, replace(TINY, name="negative", model=Negative, dataset="emoji_noto"))
    give_weights("negative")
    Image.new("RGB", (8, 8)).save("good.png")
    Path("text.png").write_text("<svg/>")
    Path("cut.png").write_bytes(Path("good.png").read_bytes()[:45])
    for source in ("text.png", "cut.png", "missing.png", "."):
        refused(capsys, "translate", "negative", source, "--direction", "ab", "-o", "x.png")
    assert "ab or ba" in refused(
        capsys, "translate", "negative", "good.png", "--direction", "up", "-o", "x.png"
    )


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


def test_divergence_is_one_line(capsys, monkeypatch):
    only(monkeypatch, replace(TINY, config=test_training.TinyConfig(side=28, diverge_at=5)))
    status, _, err = run(capsys, "pretrain", "tiny")
    assert status == 2 and "step 5" in err and len(err.splitlines()) == 1


INTERRUPTED = """
import sys
from dataclasses import replace
import test_cli
from playground import cli, registry
tiny = replace(test_cli.TINY, recipe=replace(test_cli.TINY.recipe, num_steps=10**6))
registry._specs = lambda: {"tiny": tiny}
sys.exit(cli.run(["pretrain", "tiny"]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_a_checkpoint_and_says_how_to_go_on(number):
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], env=environment, stdout=-1, stderr=-1, text=True
    )
    assert process.stdout is not None and "step 1 " in process.stdout.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2 and len(err.splitlines()) == 1
    assert "python -m playground pretrain tiny --resume" in err and "Stopped at step" in err
    state = torch.load(pretrain.checkpoint_path("tiny"), weights_only=True)
    assert f"step {state['step']:,};" in err


def test_evaluating_prints_and_writes_the_numbers(capsys, monkeypatch):
    metrics = {"fid": {"value": 1.5, "num": 20, "floor": 0.5, "times_floor": 3.0}}

    def steps(name, num):
        yield evaluation.EvalEvent("samples", 10, num, 1.0)
        yield evaluation.EvalEvent("done", num, num, 0.0, metrics)

    monkeypatch.setattr(evaluation, "evaluate_steps", steps)
    give_weights(PLAIN)
    status, out, err = run(capsys, "evaluate", PLAIN, "--num", 20)
    assert (status, err) == (0, "") and re.search(r"fid +1.5 +N = 20", out)
    assert registry.card(PLAIN)["metrics"] == {}
    status, out, err = run(capsys, "evaluate", "--num", 20, "--json", "--write")
    assert status == 0 and json.loads(out) == {PLAIN: metrics} and registry.card(PLAIN)["metrics"] == metrics


@pytest.mark.parametrize("arguments", [["--help"], ["sample", "--help"]])
def test_help_is_no_error(capsys, arguments):
    status, out, err = run(capsys, *arguments)
    assert status == 0 and "Usage" in out and err == ""


def test_the_readme_has_the_table_of_the_cards(monkeypatch):
    monkeypatch.delenv("PLAYGROUND_PRETRAINED")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert listing.with_table(text) == text, "run `python -m playground list --readme README.md`"
    assert all(f"`{name}`" in text for name in registry.names())


def test_the_front_matter_is_that_of_the_requirements():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    front = dict(
        line.split(": ", 1) for line in text.split("---\n")[1].splitlines() if re.match(r"\w+: ", line)
    )
    assert (
        front["sdk"] == "gradio" and front["app_file"] == "app.py" and len(front["short_description"]) <= 60
    )
    assert f"gradio=={front['sdk_version']}\n" in (ROOT / "requirements.txt").read_text()
    picture = re.search(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert picture and (ROOT / picture[1]).is_file()
