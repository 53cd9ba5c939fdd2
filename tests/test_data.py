"""Data sets: what is embedded is whole and right; what is missing or damaged says so in one sentence."""

import gzip
import hashlib
import struct

import pytest
import torch

from playground import data
from playground.data import emoji, idx


@pytest.mark.parametrize(("split", "num"), [("train", 60_000), ("test", 10_000)])
def test_mnist_is_whole(split, num):
    digits = data.load("mnist", split)
    assert digits.images.shape == (num, 1, 28, 28) and digits.images.dtype == torch.uint8
    assert digits.labels.shape == (num,) and digits.labels.dtype == torch.int64
    assert digits.classes == tuple("0123456789")
    counts = digits.labels.bincount(minlength=10)
    assert counts.min() > 0.085 * num and counts.max() < 0.12 * num
    assert digits.images.amax() == 255 and digits.images.amin() == 0


def test_mnist_splits_share_no_picture():
    test = {image.numpy().tobytes() for image in data.load("mnist", "test").images}
    assert not any(image.numpy().tobytes() in test for image in data.load("mnist", "train").images)


def test_a_set_is_read_once_and_shared():
    assert data.load("mnist", "test") is data.load("mnist", "test")


@pytest.mark.parametrize("name", ["emoji_noto", "emoji_twemoji"])
def test_emoji_splits_hold_out_every_tenth(name):
    train, test = data.load(name, "train"), data.load(name, "test")
    assert len(test) == 191 and len(train) + len(test) == 1906
    assert train.images.shape[1:] == test.images.shape[1:] == (3, 64, 64)
    assert all(i % 10 == 0 for i in emoji.indices("test")) and not any(
        i % 10 == 0 for i in emoji.indices("train")
    )
    assert set(train.labels.tolist()) <= set(range(len(train.classes)))
    corners = train.images[:, :, 0, 0].float().mean()
    assert corners > 200, "emoji stand on white"


def test_the_two_emoji_styles_are_aligned():
    """The same index is the same emoji: its counterpart is the nearest of 191 more often than by chance."""
    noto, twemoji = (
        data.to_float(data.load(name, "test").images) for name in ("emoji_noto", "emoji_twemoji")
    )
    a, b = (torch.nn.functional.avg_pool2d(x, 4).flatten(1) for x in (noto, twemoji))
    nearest = torch.cdist(a, b).argmin(1)
    indices = torch.arange(len(a))
    assert (nearest == indices).float().mean() > 0.3
    assert (nearest == indices.roll(1)).float().mean() < 0.05
    assert torch.equal(data.load("emoji_noto").labels, data.load("emoji_twemoji").labels)


def test_emoji_entries_name_every_cell():
    entries = emoji.entries()
    assert len(entries) == 1906 and all(entry["name"] and entry["category"] for entry in entries)


def test_labels_come_as_often_as_in_the_data_from_a_hundred_on():
    labels, share = data.in_proportion("mnist", 10_000), data.load("mnist").labels.bincount() / 60_000
    assert torch.equal(labels[:100], data.in_turn(100)) and torch.equal(
        data.in_proportion("mnist", 7), labels[:7]
    )
    assert torch.equal(data.in_proportion("mnist", 1234), labels[:1234])
    for num in (200, 1000, 10_000):
        assert (labels[:num].bincount(minlength=10) - num * share).abs().max() <= 1


def test_labels_of_a_balanced_set_stay_in_turn(monkeypatch):
    even = data.Images("even", torch.zeros(12, 1, 2, 2), torch.arange(12) % 4, tuple("abcd"))
    monkeypatch.setattr(data, "load", lambda name, split="train": even)
    assert data.in_proportion("even", 403).tolist() == [i % 4 for i in range(403)]


def test_uint8_survives_the_round_trip_through_float():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    x = data.to_float(levels)
    assert x.dtype == torch.float32 and x.min() == -1 and x.max() == 1
    assert torch.equal(data.to_uint8(x), levels)
    assert torch.equal(data.to_uint8(torch.tensor([-9.0, 9.0])), torch.tensor([0, 255], dtype=torch.uint8))


def test_binarise_is_black_and_white_with_the_right_mean():
    x = torch.full((64, 1, 28, 28), 0.5)
    binary = data.binarise(x, torch.Generator().manual_seed(0))
    assert set(binary.unique().tolist()) == {-1.0, 1.0}
    assert abs(((binary + 1) / 2).mean().item() - 0.75) < 0.01
    assert torch.equal(binary, data.binarise(x, torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    "name", [name for name in data.names() if not name.startswith(("mnist", "fashion", "emoji"))]
)
def test_toys_are_points_in_the_square(name):
    points = data.load(name)
    assert points.images.shape == (len(points), 2, 1, 1) and points.images.abs().max() <= 1
    assert points.labels.max() < len(points.classes)


@pytest.mark.parametrize(("name", "split"), [("imagenet", "train"), ("../etc", "train"), ("mnist", "valid")])
def test_an_unknown_set_or_split_says_what_there_is(name, split):
    with pytest.raises(ValueError, match="train|choose one of"):
        data.load(name, split)


def _write_idx(path, array: torch.Tensor) -> str:
    """An IDX file of uint8; returns the checksum of its contents."""
    raw = struct.pack(f">BBBB{array.dim()}I", 0, 0, 8, array.dim(), *array.shape) + array.numpy().tobytes()
    path.write_bytes(gzip.compress(raw))
    return hashlib.sha256(raw).hexdigest()


def test_idx_files_are_read_and_checked(tmp_path):
    array = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    path = tmp_path / "images.gz"
    digest = _write_idx(path, array)
    assert torch.equal(idx._read_idx(path, digest), array)
    with pytest.raises(data.DataUnavailable, match="damaged"):
        idx._read_idx(path, "0" * 64)
    packed = bytearray(path.read_bytes())
    packed[12:20] = b"\xff" * 8
    damaged = tmp_path / "damaged.gz"
    damaged.write_bytes(packed)
    with pytest.raises(data.DataUnavailable, match="cannot be read"):
        idx._read_idx(damaged, digest)  # zlib's own error, which is no OSError
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(data.DataUnavailable, match="cannot be read"):
        idx._read_idx(path, digest)
    path.unlink()
    with pytest.raises(data.DataUnavailable, match="cannot be read"):
        idx._read_idx(path, digest)


def test_fashion_mnist_is_taken_from_the_system_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(idx, "_SYSTEM", tmp_path)
    parts = idx._PARTS["test"]
    arrays = (torch.zeros(4, 28, 28, dtype=torch.uint8), torch.arange(4, dtype=torch.uint8))
    digests = {
        part: _write_idx(tmp_path / f"{part}.gz", array) for part, array in zip(parts, arrays, strict=True)
    }
    monkeypatch.setattr(idx, "_FASHION_SHA256", digests)
    articles = idx.load_fashion_mnist("test")
    assert articles.images.shape == (4, 1, 28, 28) and articles.labels.tolist() == [0, 1, 2, 3]
    assert "Sneaker" in articles.classes


def test_missing_fashion_mnist_says_what_would_put_it_where(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setenv("PLAYGROUND_CACHE", str(tmp_path))
    monkeypatch.setattr(idx, "_SYSTEM", tmp_path / "nowhere")
    monkeypatch.setattr("torchvision.datasets.FashionMNIST", offline)
    with pytest.raises(data.DataUnavailable) as caught:
        idx.load_fashion_mnist("train")
    message = str(caught.value)
    assert "dataset-fashion-mnist" in message and str(tmp_path) in message and "\n" not in message
