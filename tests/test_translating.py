"""Translation as it is looked at and scored: routes, what is taken from outside, distances, baselines."""

import io

import numpy as np
import pytest
import torch
from contract_helpers import fresh
from PIL import Image

from playground import data, registry, translating, translation_scores, uploads
from playground.translating import Route
from playground.validation import InvalidInput

STYLES, BACK = Route("emoji_styles", "ab"), Route("emoji_styles", "ba")


def file(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def test_routes_are_what_models_say_they_do():
    routes = translating.routes()
    assert routes["noto-twemoji"] == STYLES and routes["twemoji-noto"] == BACK
    for key, way in routes.items():
        assert key == way.key and translating.models(way)
        for name in translating.models(way):
            assert way.direction in translating.directions(registry.spec(name))
    both = [registry.spec(name).dataset for name in translating.models(STYLES)]
    assert {name.endswith("_unpaired") for name in both} == {True, False}, "with pairs and without"
    assert len(translating.models(BACK)) < len(both), "pix2pix goes one way"


def test_held_out_pictures_are_true_pairs_in_either_direction():
    x, truth = translating.held_out(STYLES)
    assert torch.equal(x, data.load("emoji_noto", "test").images)
    assert torch.equal(truth, data.load("emoji_twemoji", "test").images)
    again, first = translating.held_out(BACK)
    assert torch.equal(again, truth) and torch.equal(first, x)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(64, 64), (300, 100), (40, 400)])
def test_any_picture_is_made_as_large_as_it_fits_on_paper(kind, size):
    red = file(Image.new("RGB", size, (200, 30, 40)), kind)
    x = translating.read(registry.spec("cyclegan"), "ab", red)
    assert x.shape == (1, 3, 64, 64) and x.min() >= -1 and x.max() <= 1
    inked = (x[0, 1] < 0).float().mean().item()
    assert inked == pytest.approx(min(size) / max(size), abs=0.03)
    assert (x[0, :, 32, 32] - torch.tensor([0.57, -0.76, -0.69])).abs().max() < 0.1


def test_sixteen_bits_are_scaled_alpha_is_white_and_cameras_are_turned():
    spec = registry.spec("cyclegan")
    deep = file(Image.fromarray(np.full((70, 70), 32768, np.uint16)))
    assert translating.read(spec, "ab", deep).abs().max() < 0.01
    clear = file(Image.new("RGBA", (70, 70), (255, 0, 0, 0)))
    assert translating.read(spec, "ab", clear).min() == 1
    upper = Image.new("RGB", (64, 64), "white")
    upper.paste((0, 0, 0), (0, 0, 64, 32))
    exif = upper.getexif()
    exif[0x0112] = 3  # upside down
    buffer = io.BytesIO()
    upper.save(buffer, "JPEG", exif=exif)
    x = translating.read(spec, "ab", buffer.getvalue())
    assert x[0, :, 5].mean() > 0.9 and x[0, :, 60].mean() < -0.9


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("black", "white")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert translating.read(registry.spec("cyclegan"), "ab", buffer.getvalue()).max() == -1


def test_a_drawing_stays_and_a_coloured_picture_gives_its_edges():
    spec = registry.spec("pix2pix")
    drawn = Image.new("L", (256, 256), 255)
    drawn.paste(0, (120, 20, 128, 236))
    x = translating.read(spec, "ab", file(drawn))
    assert x.shape == (1, 1, 64, 64) and x[0, 0, 30, 30] < 0 and x[0, 0, 30, 10] == 1
    emoji = data.load("emoji_twemoji", "test").images[:1]
    picture = Image.fromarray(emoji[0].permute(1, 2, 0).numpy())
    sketch = data.to_float(data.load("emoji_sketches", "test").images[:1, :1])
    torch.testing.assert_close(translating.read(spec, "ab", file(picture)), sketch)


def test_digits_are_placed_as_mnist_has_them():
    digit = data.load("mnist", "test").images[0, 0].numpy()
    large = Image.fromarray(255 - digit).resize((200, 200))
    x = translating.read(registry.spec("cyclegan_digits"), "ab", file(large))
    truth = data.to_float(data.load("mnist", "test").images[:1])
    assert x.shape == (1, 1, 28, 28) and translating.l1(x, truth) < 0.25


@pytest.mark.parametrize(
    "bad", [b"", b"GIF89a", b"<svg/>", "text", None, 5, b"\x89PNG\r\n\x1a\n" + b"0" * 40]
)
def test_what_is_no_picture_is_refused_in_a_sentence(bad):
    with pytest.raises(InvalidInput) as caught:
        translating.read(registry.spec("cyclegan"), "ab", bad)
    assert 10 < len(str(caught.value)) < 300 and str(caught.value).endswith(".")


def test_sizes_are_refused_from_the_header():
    with pytest.raises(InvalidInput, match="million pixels"):
        translating.read(registry.spec("cyclegan"), "ab", file(Image.new("1", (4000, 2000))))
    with pytest.raises(InvalidInput, match="too heavy"):
        translating.read(registry.spec("cyclegan"), "ab", b"\x89PNG" + bytes(uploads.MAX_BYTES))


def test_letterboxes_keep_the_whole_picture():
    wide = np.zeros((20, 80, 3), np.uint8)
    x = uploads.letterbox(wide, 40)
    assert x.shape == (1, 3, 40, 40) and (x[0, 0] < 0).sum() == 10 * 40 and x[0, 0, 0, 0] == 1
    assert uploads.letterbox(wide, 40, 1, paper=-1.0).max() == -1


def test_distances():
    x = torch.rand(3, 3, 64, 64) * 2 - 1
    assert (
        translating.l1(x, x).max() == 0
        and translating.l1(torch.ones(1, 1, 4, 4), -torch.ones(1, 1, 4, 4)) == 2
    )
    torch.testing.assert_close(translating.ssim(x, x), torch.ones(3), atol=1e-4, rtol=0)
    assert translating.ssim(x, -x).max() < 0
    assert translating.alike(x, 1).shape == (3, 1, 64, 64) and translating.alike(x[:, :1], 3).shape == x.shape


def test_palettes_know_colours_and_nothing_of_places():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 16, 16, generator=generator)
    shuffled = x.flatten(2)[:, :, torch.randperm(256, generator=generator)].view_as(x)
    assert translation_scores.palette_distance(x, shuffled, 1.0) < 1e-6
    assert translation_scores.palette_distance(x, x - 0.5, 1.0) > 0.1
    paper = torch.ones_like(x)
    assert translation_scores.palette_distance(paper, paper, 1.0) == 0
    framed = torch.nn.functional.pad(x, (8,) * 4, value=1.0)
    assert translation_scores.palette_distance(x, framed, 1.0) < 1e-6, "paper has no colour"


def test_the_nearest_neighbour_is_a_training_picture_of_the_other_look():
    known = translating.training(STYLES)[1]
    x = data.to_float(known[[3, 700]])
    assert torch.equal(translation_scores.nearest(x, STYLES), x)


class Perfect(torch.nn.Module):
    """Knows the answers."""

    directions, channels = ("ab", "ba"), (3, 3)

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.known = [data.to_float(x) for x in translating.held_out(STYLES)]

    def translate(self, x, direction, generator=None):
        given, made = self.known if direction == "ab" else reversed(self.known)
        return made[torch.cdist(x.flatten(1), given.flatten(1)).argmin(1)]


def test_scores_of_a_perfect_translation(monkeypatch):
    monkeypatch.setattr(translation_scores, "judge_of", lambda dataset: None)
    *_, last = finished(translation_scores.measure(registry.spec("cyclegan"), Perfect(), 20))
    for way in ("ab", "ba"):
        assert last[f"l1_{way}"]["value"] == 0 and last[f"l1_{way}"]["lower"] == 1
        assert last[f"l1_{way}"]["nothing"] > 0.2 and last[f"l1_{way}"]["neighbour"] > 0.2
        assert last[f"ssim_{way}"]["value"] == pytest.approx(1, abs=1e-4)
        assert last[f"cycle_{way}"]["value"] == 0
        assert last[f"palette_{way}"]["value"] == 0 < last[f"palette_{way}"]["nothing"]
        assert f"spread_{way}" not in last, "nothing is random in it"
    assert last["ms_per_image_1"]["value"] > 0 and all(entry["num"] >= 1 for entry in last.values())


def finished(steps):
    """The events of a part, then what it returns."""
    while True:
        try:
            yield next(steps)
        except StopIteration as stop:
            yield stop.value
            return


def test_everything_there_is_to_see_of_a_translation():
    model = fresh("cyclegan")
    x, truth = (data.to_float(part[:2]) for part in translating.held_out(STYLES))
    found = translating.translate(model, x, "ab", truth)
    torch.testing.assert_close(found.y, model.translate(x, "ab"))
    torch.testing.assert_close(found.back, model.translate(found.y, "ba"))
    torch.testing.assert_close(found.away, (found.back - x).abs().mean(1, keepdim=True))
    torch.testing.assert_close(found.same, model.translate(x, "ba"))
    assert found.patches.shape == found.truth_patches.shape == (2, 1, 6, 6) and found.milliseconds > 0
    rows = translating.compared(truth, x, truth)
    assert rows[0]["l1"] == 0 and rows[0]["ssim"] == pytest.approx(1, abs=1e-4) and rows[0]["l1_nothing"] > 0
    one_way = translating.translate(fresh("pix2pix_styles"), x, "ab")
    assert one_way.back is one_way.away is one_way.same is one_way.truth_patches is None
    assert one_way.patches.shape == (2, 1, 6, 6)


@pytest.mark.parametrize("name", registry.names("Translates"))
def test_draws_differ_where_a_model_says_that_it_has_noise_and_nowhere_else(name):
    spec, model = registry.spec(name), fresh(name).eval()
    x = torch.rand(2, spec.config.channels[0], *[translating.reads(spec, "ab")[1]] * 2) * 2 - 1
    found = translating.translate(model, x, "ab")
    again = model.translate(x, "ab", torch.Generator().manual_seed(1))
    assert torch.equal(again, found.y) != model.has_noise == (found.draws is not None)
    if model.has_noise:
        assert len(found.draws) == translating.NUM_DRAWS and torch.equal(found.draws[1], again.detach())
        assert found.draws.std(0).flatten(1).mean(1).min() > 0
