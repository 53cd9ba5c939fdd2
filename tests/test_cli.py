"""The command line's contract: what it writes, and one line with exit status 2 for whatever is wrong."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from app_helpers import opened
from cli_helpers import CONDITIONAL, PLAIN, ROOT, TINY, draw, give_weights, only, quick, refused, run
from cli_helpers import untouched as untouched  # a fixture for every test here
from PIL import Image

from playground import cli, data, figures, registry, weights
from playground.spec import GenerativeModel, Translates
from playground.tabs import sample


def test_list_says_what_there_is(capsys):
    status, out, err = run(capsys, "list", "--json")
    found, names = json.loads(out), registry.names() + registry.published()
    assert (status, err) == (0, "") and [row["name"] for row in found] == names
    for row in found:
        assert {"family", "dataset", "conditional", "capabilities", "parameters", "metrics"} <= row.keys()
        assert isinstance(row["conditional"], bool) and row.keys() == found[0].keys()
        assert row["parameters"] > 0 if row["published"] is None else row["published"]["megabytes"] > 0
    status, out, err = run(capsys, "list")
    assert status == 0 and all(re.search(rf"^{name} ", out, re.MULTILINE) for name in names)


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
    labels = data.in_proportion("mnist", 130)  # as an evaluation asks for them
    assert (
        draw(capsys, CONDITIONAL, num=130)["labels"].tolist()
        == labels.tolist()
        != [i % 10 for i in range(130)]
    )
    assert draw(capsys, CONDITIONAL, "--label", 7)["labels"].tolist() == [7, 7, 7]


WORDED = registry.names("FollowsWords")[0]


def test_a_model_without_labels_draws_for_the_page_what_it_draws_for_the_terminal(capsys):
    give_weights(WORDED)
    found = draw(capsys, WORDED, "--set", "num_steps=1", "--seed", 7)["images"]
    answer = sample.sample(WORDED, 7, "any", 3, {"num_steps": 1})
    assert np.array_equal(np.asarray(opened(answer["png"])), np.asarray(figures.grid(found)))
    assert len(set(answer["captions"])) == 3
    other = sample.sample(WORDED, 8, "any", 3, {"num_steps": 1})["captions"]
    assert set(other) != set(answer["captions"]), "the seed chooses the names"


def test_words_are_a_control_like_others(capsys):
    give_weights(WORDED)
    asked = ("--set", "num_steps=1", "--set", "prompt=green ❤️, Noto")
    found = draw(capsys, WORDED, *asked, num=2)["images"]
    answer = sample.sample(WORDED, 0, "any", 2, {"num_steps": 1, "prompt": "green ❤️, Noto"})
    assert np.array_equal(np.asarray(opened(answer["png"])), np.asarray(figures.grid(found)))
    assert answer["captions"] == ["green heavy black heart , Noto"] * 2
    for unread in ("prompt=红苹果", "prompt=!!!", "prompt=" + "x" * 201):
        refused(capsys, "sample", WORDED, "--set", unread, "-o", "x.png")


def test_a_longer_run_begins_like_a_shorter_one(capsys, monkeypatch):
    monkeypatch.setattr(cli, "BATCH", 2)
    give_weights(PLAIN)
    short, long = (draw(capsys, PLAIN, num=num)["images"] for num in (4, 7))
    assert len(long) == 7 and np.array_equal(long[:4], short)


def test_a_png_is_a_grid_that_remembers_its_request(capsys):
    give_weights(PLAIN)
    assert run(capsys, "sample", PLAIN, "-n", 4, "--seed", 9, *quick(PLAIN), "-o", "x.PNG")[0] == 0
    request = figures.read_request(Path("x.PNG").read_bytes())
    assert request["model"] == PLAIN and request["seed"] == 9 and request["n"] == 4
    with Image.open("x.PNG") as picture:
        assert all(56 <= side <= 60 for side in picture.size)


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
        (("evaluate", PLAIN, "--only", "everything"), "speed, samples"),
        (("translate", PLAIN, "in.png", "--direction", "ab", "-o", "x.png"), PLAIN),
        (("translate", "none.pth", "in.png", "-o", "x.png"), "in.png"),
        (("translate", "none.pth", "in.png", "--direction", "up", "-o", "x.png"), "ab, ba"),
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


def test_a_reader_that_has_gone_and_a_missing_output_are_no_failure():
    for end in ("| head -c 10 >/dev/null; exit ${PIPESTATUS[0]}", ">&-"):
        command = f"{sys.executable} -m playground list --json {end}"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
        assert (done.returncode, done.stderr) == (0, ""), end


def test_an_output_that_is_a_link_stays_one(capsys, tmp_path):
    give_weights(PLAIN)
    (tmp_path / "link.png").symlink_to(tmp_path / "target.png")
    assert run(capsys, "sample", PLAIN, "-n", 1, "-o", tmp_path / "link.png")[0] == 0
    assert (tmp_path / "link.png").is_symlink() and (tmp_path / "target.png").stat().st_size


def test_a_file_that_is_no_text_is_one_line(capsys, tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        assert str(path) in refused(capsys, "list", "--readme", str(path))


def test_a_device_that_is_not_there_is_one_line(capsys, monkeypatch):
    give_weights(PLAIN)
    monkeypatch.setenv("PLAYGROUND_DEVICE", "abacus")
    assert "PLAYGROUND_DEVICE" in refused(capsys, "sample", PLAIN, "-o", "x.png")


@pytest.mark.parametrize(
    ("error", "says"),
    [(KeyboardInterrupt(), "Interrupted"), (MemoryError(), "memory"), (KeyError("a\nb"), "KeyError"),
     (torch.OutOfMemoryError("CUDA\nout of memory"), "memory"), (TypeError(), "TypeError"),
     (RuntimeError("alloc_cpu.cpp: can't allocate memory: Error code 12"), "fewer pictures")],
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

    def translate(self, x, direction, generator=None):
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
    assert "ab, ba" in refused(
        capsys, "translate", "negative", "good.png", "--direction", "up", "-o", "x.png"
    )


@pytest.mark.parametrize("arguments", [["--help"], ["sample", "--help"]])
def test_help_is_no_error(capsys, arguments):
    status, out, err = run(capsys, *arguments)
    assert status == 0 and "Usage" in out and err == ""
