"""Paths, grids, smoothness and directions of a latent space: properties that hold for any model."""

import math

import pytest
import torch
from contract_helpers import fresh, rng
from test_directions import Planted
from torch import nn

from playground import directions, latent, registry
from playground.spec import HasLatent, HasStyles

VECTORS = [
    name
    for name in registry.names("HasLatent")
    if "Denoises" not in registry.spec(name).capabilities and len(fresh(name).latent_shape) == 1
]


def pair(dims=64, seed=0):
    return torch.randn(2, dims, generator=rng(seed))


@pytest.mark.parametrize("path", latent.PATHS)
@pytest.mark.parametrize("shape", [(1,), (2,), (48,), (1, 28, 28)])
def test_ends_are_exact_and_the_shape_is_kept(path, shape):
    a, b = torch.randn(2, *shape, generator=rng())
    found = latent.PATHS[path](a, b, latent.moments(7))
    assert found.shape == (7, *shape)
    torch.testing.assert_close(found[0], a, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found[-1], b, atol=1e-6, rtol=1e-5)


def test_slerp_keeps_the_norm_and_lerp_does_not():
    a, b = pair(784)
    b = b * a.norm() / b.norm()
    around, straight = (
        path(a, b, latent.moments(9)).norm(dim=1) / a.norm() for path in (latent.slerp, latent.lerp)
    )
    torch.testing.assert_close(around, torch.ones(9), atol=1e-5, rtol=0)
    assert straight[4] == pytest.approx(math.sqrt(0.5), abs=0.05)  # at right angles


def test_slerp_turns_evenly_and_norms_go_evenly():
    a, b = pair()
    z = latent.slerp(a, 3 * b, latent.moments(11))
    norms, u = z.norm(dim=1), nn.functional.normalize(z, dim=1)
    turns = torch.acos((u[1:] * u[:-1]).sum(1))
    torch.testing.assert_close(turns, turns[:1].expand(10), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(norms.diff(), norms.diff()[:1].expand(10), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0, 0.0])
def test_where_there_is_no_circle_slerp_is_the_line(factor):
    a, t = pair()[0], latent.moments(5)
    found = latent.slerp(a, factor * a, t)
    torch.testing.assert_close(found, latent.lerp(a, factor * a, t))
    assert found.isfinite().all()


@pytest.mark.parametrize("path", latent.PATHS)
def test_a_sheet_has_its_corners(path):
    corners = torch.randn(4, 1, 6, generator=rng())
    four = latent.sheet(corners, 5, path).view(5, 5, 1, 6)
    found = torch.stack([four[0, 0], four[0, -1], four[-1, 0], four[-1, -1]])
    torch.testing.assert_close(found, corners, atol=1e-5, rtol=1e-5)
    two = latent.sheet(corners[:2], 5, path).view(5, 5, 6)
    torch.testing.assert_close(torch.stack([two[0, 0], two[-1, -1]]), corners[:2, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        two[0, -1], torch.cat([corners[1, 0, :3], corners[0, 0, 3:]]), atol=1e-5, rtol=1e-5
    )


def test_an_even_path_is_even_and_a_jump_is_not():
    even = latent.smoothness(torch.arange(10.0)[:, None].expand(10, 3))
    assert even.unevenness == pytest.approx(0, abs=1e-9) and even.detour == pytest.approx(1)
    assert even.length == pytest.approx(9 * math.sqrt(3)) and len(even.steps) == 9
    jump = latent.smoothness(torch.tensor([0.0, 0, 0, 0, 0, 9, 9, 9, 9, 9])[:, None])
    assert jump.length == pytest.approx(9) and jump.unevenness == pytest.approx(math.sqrt(8))
    back = latent.smoothness(torch.tensor([0.0, 2, 1])[:, None])
    assert back.detour == pytest.approx(3) and back.length == pytest.approx(3)


def test_a_path_that_stands_still_has_numbers():
    still = latent.smoothness(torch.ones(4, 2))
    assert (still.length, still.unevenness, still.detour) == (0, 0, 1)
    assert latent.smoothness(torch.tensor([[0.0], [1], [0]])).detour == math.inf


def test_the_unit_scales_length_only():
    seen = torch.randn(6, 4, generator=rng())
    plain, scaled = latent.smoothness(seen), latent.smoothness(seen, unit=4.0)
    assert scaled.length == pytest.approx(plain.length / 4)
    assert scaled.unevenness == pytest.approx(plain.unevenness) and scaled.detour == pytest.approx(
        plain.detour
    )


def scales(name):
    """Whether a model's sampler only multiplies z."""
    knobs = [c for c in registry.spec(name).controls if c.key in ("temperature", "truncation")]
    return "HasStyles" not in registry.spec(name).capabilities and all(c.default <= 1 for c in knobs)


@pytest.mark.parametrize("name", filter(scales, VECTORS))
def test_the_first_latent_is_the_one_sample_draws(name):
    model, labels = fresh(name), torch.zeros(1, dtype=torch.long)
    plain = {"temperature": 1.0, "truncation": 1.0, "langevin": 0}
    control = {c.key: plain[c.key] for c in registry.spec(name).controls if c.key in plain}
    with torch.no_grad():
        drawn = list(model.sample(1, labels=labels, generator=rng(5), **control))[-1].x
        decoded = torch.cat(list(latent.decode(model, latent.draw(model, 5), labels, 8)))
    torch.testing.assert_close(decoded, drawn.float(), atol=1e-4, rtol=1e-3)


def test_spread_pulls_styles_to_their_mean_and_shrinks_other_latents():
    model, z = Styled(), torch.randn(3, 4, generator=rng())
    half = next(latent.decode(model, z, None, 9, spread=0.5))
    w, mean = model.styles(z), model.mean
    torch.testing.assert_close(half, model.synthesise(mean + 0.5 * (w - mean)).detach())
    assert torch.equal(latent.draw(model, 3, 0.5), latent.draw(model, 3))
    plain = Planted()
    torch.testing.assert_close(latent.draw(plain, 3, 0.5), 0.5 * latent.draw(plain, 3))


def test_parts_are_the_whole():
    model = fresh(VECTORS[0])
    z, labels = torch.randn(5, *model.latent_shape, generator=rng()), torch.arange(5)
    parts = list(latent.decode(model, z, labels, 2))
    assert [len(part) for part in parts] == [2, 2, 1]
    torch.testing.assert_close(
        torch.cat(parts), next(latent.decode(model, z, labels, 5)), atol=1e-5, rtol=1e-4
    )


# Directions


@pytest.mark.parametrize("width", [12, 1500])
def test_pca_finds_planted_directions(width):
    planted = torch.linalg.qr(torch.randn(width, 3, generator=rng()))[0].T
    weights = torch.tensor([9.0, 4.0, 2.0])
    x = (torch.randn(400, 3, generator=rng(1)) * weights) @ planted + 0.01 * torch.randn(
        400, width, generator=rng(2)
    )
    found = directions.pca(x + 5, 3)
    overlap = (found.basis @ planted.T).abs()
    assert overlap.diagonal().min() > 0.97
    torch.testing.assert_close(found.basis @ found.basis.T, torch.eye(3), atol=1e-3, rtol=0)
    assert found.scale.tolist() == pytest.approx(weights.tolist(), rel=0.15)
    assert 0.99 < found.share.sum() <= 1 + 1e-5
    torch.testing.assert_close(found.coordinates(x + 5).std(0), found.scale, atol=1e-2, rtol=1e-2)
    again = directions.pca(x + 5, 3)
    assert torch.equal(found.basis, again.basis)


class Styled(nn.Module, HasLatent, HasStyles):
    """Two layers of styles: the first makes the columns, the second the rows."""

    latent_shape = (4,)
    num_styles = 2

    def __init__(self):
        super().__init__()
        self.mapping, self.mean = nn.Linear(4, 4), torch.ones(4)

    def styles(self, z, labels=None):
        return self.mapping(z)[:, None].expand(-1, 2, -1)

    def synthesise(self, w):
        return torch.tanh(w[:, 0, None, None, :] + w[:, 1, None, :, None])

    def truncate(self, w, psi, labels=None):
        return torch.lerp(self.mean, w, psi)

    def decode(self, z, labels=None):
        return self.synthesise(self.styles(z))


def test_with_styles_the_styles_move():
    model, z = Styled(), torch.randn(1, 4, generator=rng())
    found = directions.principal(model, 2, num_samples=200)
    assert found.in_styles and found.moves.shape == (2, 4)
    pictures = directions.walk(model, z, found, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(pictures[0, 0], model.decode(z)[0].detach())
    moved = model.synthesise(model.styles(z) + found.moves[1]).detach()
    torch.testing.assert_close(pictures[1, 1], moved[0])
    pulled = directions.walk(model, z, found, torch.tensor([0.0, 1.0]), spread=0.25)
    start = torch.lerp(model.mean, model.styles(z), 0.25)
    torch.testing.assert_close(pulled[0, 0], model.synthesise(start)[0].detach())
    torch.testing.assert_close(pulled[1, 1], model.synthesise(start + found.moves[1])[0].detach())


@pytest.mark.parametrize("name", VECTORS)
def test_every_one_shot_model_has_principal_directions(name):
    model = fresh(name)
    labels = torch.arange(40) % 10 if registry.spec(name).conditional else None
    found = directions.principal(model, 3, labels, num_samples=40)
    assert found.moves.isfinite().all() and found.share.min() >= 0 and found.share.sum() <= 1 + 1e-4


def test_class_means():
    z = torch.tensor([[1.0, 0], [3, 0], [5, 5]])
    found = directions.class_means(z, torch.tensor([2, 2, 0]), 4)
    assert found.tolist() == [[5, 5], [0, 0], [2, 0], [0, 0]]


def bar(width, shear=0.0):
    rows, columns = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    middle = 13.5 - shear * (rows - 13.5)
    return (2 * (((columns - middle).abs() <= width / 2) & ((rows - 13.5).abs() < 9)).float() - 1)[None, None]


def test_strokes_are_measured():
    thin, thick = (directions.strokes(bar(width)) for width in (2, 5))
    assert thick["thickness"] > 1.5 * thin["thickness"] and thick["width"] > thin["width"]
    upright, right, left = (directions.strokes(bar(3, shear))["slant"].item() for shear in (0, 0.4, -0.4))
    assert (
        abs(upright) < 0.02
        and right == pytest.approx(0.4, abs=0.06)
        and left == pytest.approx(-0.4, abs=0.06)
    )


def test_a_contrast_is_not_one_of_class():
    labels = torch.arange(400) % 2
    hidden = torch.randn(400, generator=rng())
    z = torch.stack([100.0 * labels, hidden], 1)  # the class is far louder than what is measured
    found = directions.contrast(z, hidden + 50 * labels, labels)
    assert abs(found[0]) < 1e-3 and found[1] > 2


@pytest.mark.parametrize("shape", [(2,), (9,), (1, 4, 4)])
def test_a_map_places_its_own_cells(shape):
    z = torch.randn(500, *shape, generator=rng()) * 3 + 1
    found = directions.plane(z)
    cells = found.cells(4)
    assert cells.shape == (16, *shape)
    placed = found.place(cells).view(4, 4, 2)
    torch.testing.assert_close(placed[0, 0], torch.tensor([0.125, 0.875]), atol=1e-3, rtol=0)
    torch.testing.assert_close(placed[3, 3], torch.tensor([0.875, 0.125]), atol=1e-3, rtol=0)
    inside = found.place(z)
    assert ((inside >= 0) & (inside <= 1)).all(1).float().mean() > 0.97
    assert found.share == pytest.approx(1) if shape == (2,) else 0 < found.share < 1
