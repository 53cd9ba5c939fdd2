"""Some parameters learn and the others stay: which do, what is written, and what is refused."""

from dataclasses import replace

import pytest
import torch
from cli_helpers import TINY, only, refused, run
from cli_helpers import untouched as untouched  # a fixture for every test here
from safetensors.torch import load_file

from playground import freezing, registry, weights

LONGER = replace(TINY, recipe=replace(TINY.recipe, num_steps=20))


def test_an_opponent_learns_whole_and_is_kept_only_where_it_was_asked_for():
    model = registry.build("dcgan")
    freezing.freeze(model, r"^generator\.body\.8")
    free = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name for name in free if name.startswith("generator")} == {
        "generator.body.8.weight", "generator.body.8.bias",
    }  # fmt: skip
    assert {name for name in free if name.startswith("dis")} == {
        f"discriminator.{name}" for name, _ in model.discriminator.named_parameters()
    }
    before = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    after = {name: torch.ones_like(value) for name, value in before.items()}
    changed = {n for n, v in freezing.merge(model, before, after, r"^generator\.body\.8").items() if v.any()}
    statistics = {name for name, _ in model.generator.named_buffers(prefix="generator")}
    assert changed == {"generator.body.8.weight", "generator.body.8.bias"} | statistics


@pytest.mark.parametrize(("pattern", "said"), [("(", "regular expression"), ("colour", "net.1.weight")])
def test_a_pattern_that_frees_nothing_is_refused(pattern, said, capsys, monkeypatch):
    only(monkeypatch, TINY)
    run(capsys, "pretrain", "tiny", "--no-evaluate")
    assert said in refused(capsys, "pretrain", "tiny", "--free", pattern, "--no-evaluate")


def test_only_what_is_free_is_written_anew_and_the_card_says_so(capsys, monkeypatch):
    only(monkeypatch, TINY)
    run(capsys, "pretrain", "tiny", "--no-evaluate")
    folder = weights.folder("tiny")
    replay, old = (folder / "replay.json").read_bytes(), load_file(folder / "model.safetensors")
    origin = registry.card("tiny")["sha256"]
    only(monkeypatch, LONGER)
    assert run(capsys, "pretrain", "tiny", "--free", "bias$", "--no-evaluate")[0] == 0
    card, new = registry.card("tiny"), load_file(folder / "model.safetensors")
    parameters = dict(registry.build("tiny").named_parameters())
    changed = {name for name in parameters if not torch.equal(old[name], new[name])}
    assert changed == {name for name in parameters if name.endswith("bias")}
    assert card["freed"] == [[12, "bias$"]] and card["went_on_from"] == origin and card["num_steps"] == 20
    assert card["source"].endswith("in part with `--free 'bias$'` from update 12 on")
    assert replay == (folder / "replay.json").read_bytes()


def test_a_run_goes_on_with_the_same_parameters_free_or_not_at_all(capsys, monkeypatch):
    only(monkeypatch, TINY)
    run(capsys, "pretrain", "tiny", "--no-evaluate")
    shipped = {p.name: p.read_bytes() for p in weights.folder("tiny").iterdir()}
    only(monkeypatch, LONGER)
    command = ("pretrain", "tiny", "--resume", "--no-evaluate")
    assert run(capsys, "pretrain", "tiny", "--free", "bias$", "--no-evaluate")[0] == 0
    assert "--free" in refused(capsys, *command)
    assert "sha256" in refused(capsys, *command, "--free", "bias$")  # its weights have been written since
    for name, content in shipped.items():
        (weights.folder("tiny") / name).write_bytes(content)
    assert run(capsys, *command, "--free", "bias$")[0] == 0
    assert registry.card("tiny")["freed"] == [[12, "bias$"]]


def test_a_run_that_goes_on_whole_tells_of_what_was_free_before(capsys, monkeypatch):
    only(monkeypatch, TINY)
    run(capsys, "pretrain", "tiny", "--no-evaluate")
    for number, option in ((20, ("--free", "bias$")), (30, ("--from-weights",))):
        only(monkeypatch, replace(TINY, recipe=replace(TINY.recipe, num_steps=number)))
        assert run(capsys, "pretrain", "tiny", *option, "--no-evaluate")[0] == 0
    assert run(capsys, "pretrain", "tiny", "--resume", "--no-evaluate")[0] == 0
    card = registry.card("tiny")
    assert card["freed"] == [[12, "bias$"], [20, ""]] and card["num_steps"] == 30
    assert card["source"].endswith("with `--free 'bias$'` from update 12 on, whole again from update 20 on")


def test_what_is_stored_anew_has_few_significant_bits():
    values = torch.tensor([0.0, 1.0, -1.0, 1 + 2**-5, 1 + 2**-6, 1 + 3 * 2**-6, 63.5])
    wanted = [0.0, 1.0, -1.0, 1 + 2**-5, 1.0, 1 + 2**-4, 64.0]
    assert freezing.rounded(values, 6).tolist() == wanted
    many = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    assert ((freezing.rounded(many, 6) / many - 1).abs() <= 2**-6).all()
    assert torch.equal(freezing.rounded(many, 24), many)


def test_weights_keep_the_precision_that_they_have():
    state = {"w": torch.full((3,), 1 / 3)}
    for precision in ("float16", "bfloat16", "float32"):
        content, card = weights.pack(state, {"precision": precision})
        assert card["precision"] == precision and len(content) < 200
    assert weights.pack(state, {})[1]["precision"] == "float32"
