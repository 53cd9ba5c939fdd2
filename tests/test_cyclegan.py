"""CycleGAN: the official architecture, its losses, the pool of old fakes, and who may update what."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from playground import checkpoint, cli, data, figures, registry, training
from playground.models._image_pool import ImagePool
from playground.models._translation_networks import (
    PatchDiscriminator,
    ResnetConfig,
    ResnetGenerator,
    load_official,
    official_names,
)
from playground.spec import Batch

SPEC = registry.spec("cyclegan")
SMALL = dataclasses.replace(SPEC.config, width=4, num_blocks=1, d_width=4)


class OfficialBlock(nn.Module):
    """A residual block of the official layout: everything in one `nn.Sequential`."""

    def __init__(self, dim: int, dropout: bool) -> None:
        super().__init__()
        layers = [nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, 3), nn.InstanceNorm2d(dim), nn.ReLU()]
        layers += [nn.Dropout(0.5)] if dropout else []
        layers += [nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, 3), nn.InstanceNorm2d(dim)]
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class Official(nn.Module):
    """The generator as the project's checkpoints lay it out: one `nn.Sequential` called ``model``."""

    def __init__(self, ngf: int, num_blocks: int, dropout: bool = False, channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(channels, ngf, 7)]
        layers += [nn.InstanceNorm2d(ngf), nn.ReLU()]
        for width in (ngf, 2 * ngf):
            layers += [nn.Conv2d(width, 2 * width, 3, 2, 1), nn.InstanceNorm2d(2 * width), nn.ReLU()]
        layers += [OfficialBlock(4 * ngf, dropout) for _ in range(num_blocks)]
        for width in (4 * ngf, 2 * ngf):
            layers += [nn.ConvTranspose2d(width, width // 2, 3, 2, 1, output_padding=1)]
            layers += [nn.InstanceNorm2d(width // 2), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def small(**game: float):
    """A small CycleGAN in training."""
    config = dataclasses.replace(SMALL, game=dataclasses.replace(SMALL.game, **game))
    torch.manual_seed(0)
    return SPEC.model(config).train()


def batch(num: int = 2, seed: int = 0) -> Batch:
    """Random pairs of 64x64."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(num, 6, 64, 64, generator=generator) * 2 - 1
    return Batch(x, torch.zeros(num, dtype=torch.long), generator, 0.0)


@pytest.mark.parametrize(("num_blocks", "dropout"), [(6, False), (9, False), (9, True)])
def test_official_checkpoints_load_and_draw_the_same(tmp_path, num_blocks, dropout):
    official = Official(4, num_blocks, dropout).eval()
    torch.save(official.state_dict(), tmp_path / "latest_net_G_A.pth")
    ours = load_official(str(tmp_path / "latest_net_G_A.pth"))
    assert not ours.training and ours.config == ResnetConfig(3, 3, 4, num_blocks)
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(ours(x), official(x), rtol=0, atol=1e-5)


def test_the_shapes_of_the_published_ones_fit():
    """`resnet_9blocks` with 64 channels, as horse2zebra's: 11.4 million parameters."""
    official = Official(64, 9).state_dict()
    ours = ResnetGenerator(ResnetConfig())
    expected = {key: value.shape for key, value in ours.state_dict().items()}
    assert {key: value.shape for key, value in official_names(official).items()} == expected
    assert sum(p.numel() for p in ours.parameters()) == 11_378_179


def test_statistics_in_old_files_and_prefixes_of_many_gpus_are_dropped():
    state = Official(4, 6).state_dict()
    old = {f"module.{key}": value for key, value in state.items()}
    old |= {
        "module.model.2.running_mean": torch.zeros(4),
        "module.model.2.num_batches_tracked": torch.tensor(1),
    }
    assert official_names(old).keys() == official_names(state).keys()


@pytest.mark.parametrize(
    "content",
    [{"weight": torch.zeros(1)}, {"model.1.weight": torch.zeros(1)}, [torch.zeros(2)], {"a": "text"}, {},
     {3: torch.zeros(2)}, {"model.10.conv_block.1.weight": torch.zeros(4, 4, 3, 3)},
     Official(4, 6).state_dict() | {"model.1.bias": torch.full((4,), torch.nan)}],
)  # fmt: skip
def test_other_files_are_refused_in_a_sentence(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="other.pth|no generator"):
        load_official(str(tmp_path / "other.pth"))
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ValueError, match="cannot be read"):
        load_official(str(tmp_path / "text.pth"))


def test_the_command_line_translates_by_a_file(capsys, tmp_path):
    path, source, made = (str(tmp_path / name) for name in ("latest_net_G_A.pth", "in.png", "out.png"))
    official = Official(4, 6).eval()
    torch.save(official.state_dict(), path)
    noise = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    figures.grid(noise).save(source)
    assert cli.run(["translate", path, source, "-o", made]) == 0 and capsys.readouterr() == ("", "")
    with Image.open(made) as picture, torch.no_grad():
        found = torch.from_numpy(np.asarray(picture, np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
        torch.testing.assert_close(found, official(data.to_float(data.to_uint8(noise))), rtol=0, atol=0.02)
    for content in ({"model.1.weight": torch.zeros(4, 3, 7, 7)}, Official(4, 6, channels=5).state_dict()):
        torch.save(content, path)
        assert cli.run(["translate", path, source, "-o", made]) == 2
        said = capsys.readouterr().err
        assert path in said and len(said.splitlines()) == 1 and "Traceback" not in said
    assert cli.run(["translate", "missing.pth", source, "-o", made]) == 2
    assert capsys.readouterr().err == "missing.pth cannot be read as weights (No such file or directory).\n"


def test_code_in_a_file_is_not_run(tmp_path):
    torch.save({"model.1.weight": nn.Linear(1, 1)}, tmp_path / "code.pth")
    with pytest.raises(ValueError, match="cannot be read"):
        load_official(str(tmp_path / "code.pth"))


@pytest.mark.parametrize(("num_layers", "field", "side"), [(1, 16, 30), (2, 34, 14), (3, 70, 6)])
def test_a_patch_sees_its_receptive_field_and_no_more(num_layers, field, side):
    judge = PatchDiscriminator(3, 4, num_layers)
    assert judge.receptive_field == field
    assert judge(torch.zeros(1, 3, 64, 64)).shape == (1, 1, side, side)
    x = torch.zeros(1, 3, 160, 160, requires_grad=True)
    for conv in judge.convs:  # without the norms, which see the whole picture, and with the gradient intact
        nn.init.constant_(conv.weight, 0.01)
    h = x
    for conv in judge.convs:
        h = conv(h)
    middle = h.shape[2] // 2
    (seen,) = torch.autograd.grad(h[0, 0, middle, middle], x)
    rows = (seen[0, 0] != 0).any(1).nonzero()
    assert rows.max() - rows.min() + 1 == field


def test_the_pool_gives_back_what_it_was_given_and_mixes_once_it_is_full():
    generator, pool = torch.Generator().manual_seed(0), ImagePool(3)
    first = torch.arange(3.0).view(3, 1, 1, 1)
    assert torch.equal(pool.swap(first, generator), first) and len(pool) == 3
    given = [3.0 + i for i in range(200)]
    back = [pool.swap(torch.full((1, 1, 1, 1), value), generator).item() for value in given]
    old = sum(b != g for b, g in zip(back, given, strict=True))
    assert 70 < old < 130, "half of them are older"
    assert sorted(back + [p.item() for p in pool.kept]) == sorted([0.0, 1.0, 2.0, *given]), "none is lost"
    assert torch.equal(ImagePool(0).swap(first, generator), first)


def test_the_pool_survives_a_checkpoint(tmp_path):
    images = data.load(SPEC.dataset)
    few = dataclasses.replace(images, images=images.images[:8], labels=images.labels[:8])
    spec = dataclasses.replace(
        SPEC, config=dataclasses.replace(SMALL, game=dataclasses.replace(SMALL.game, pool_size=2))
    )
    recipe = dataclasses.replace(SPEC.recipe, num_steps=9)
    run = training.Training(spec, few, recipe, seed=5)
    for _ in range(3):
        run.update()
    assert len(run.model.pools["a"]) == 2
    checkpoint.save(run, tmp_path / "c.pt")
    again = training.Training(spec, few, recipe, seed=5)
    checkpoint.resume(again, tmp_path / "c.pt")
    assert torch.equal(again.model.pools["b"].state(), run.model.pools["b"].state())
    for _ in range(2):
        assert run.update()[0] == again.update()[0]


def test_an_update_reports_every_loss_of_both_directions_and_moves_all_four_networks():
    model = small()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    metrics = model.train_step(batch(), model.make_optimizers(SPEC.recipe))
    names = ("loss_d", "loss_g", "cycle", "idt")
    assert {key.rsplit("_", 1)[0] for key in metrics} == set(names) and len(metrics) == 8
    for part in ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b"):
        keys = [key for key in before if key.startswith(part) and key.endswith("weight")]
        assert any(not torch.equal(before[key], model.state_dict()[key]) for key in keys), part
    assert all(p.requires_grad for p in model.parameters())


def test_the_losses_are_those_of_the_paper():
    model, step = small(), batch()
    real_a, real_b = model.split(step.x)
    with torch.no_grad():
        fake_b = model.generator_ab(real_a)
        expected = {
            "cycle_a": (model.generator_ba(fake_b) - real_a).abs().mean(),
            "idt_b": (model.generator_ab(real_b) - real_b).abs().mean(),
            "loss_g_ab": (model.discriminator_b(fake_b) - 1).square().mean(),
        }
    found = model.train_step(step, model.make_optimizers(SPEC.recipe))
    for key, value in expected.items():
        assert found[key] == pytest.approx(value.item(), rel=1e-4), key


def test_without_identity_there_is_no_identity_loss():
    model = small(lambda_identity=0.0)
    assert not any(
        key.startswith("idt") for key in model.train_step(batch(), model.make_optimizers(SPEC.recipe))
    )
    model.tune({"lambda_identity": 5.0, "pool_size": 1})
    assert "idt_a" in model.train_step(batch(), model.make_optimizers(SPEC.recipe))
    assert len(model.pools["a"]) <= 2 and model.pools["a"].size == 1


def test_the_cycle_alone_is_learnt():
    """Ten updates on one batch bring it closer to where it started."""
    model, step = small(), batch()
    optimizers = model.make_optimizers(dataclasses.replace(SPEC.recipe, lr=2e-3))
    losses = [model.train_step(step, optimizers) for _ in range(10)]
    assert losses[-1]["cycle_a"] + losses[-1]["cycle_b"] < losses[0]["cycle_a"] + losses[0]["cycle_b"]
