"""MNIST (embedded) and Fashion-MNIST (cache, system folder or download), both in LeCun's IDX format."""

import contextlib
import gzip
import hashlib
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from playground.data.images import DataUnavailable, Images
from playground.paths import cache_folder

_EMBEDDED = Path(__file__).parent / "files" / "mnist"
_SYSTEM = Path("/usr/share/datasets/fashion-mnist")
_PARTS = {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
          "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")}  # fmt: skip
# sha256 of the unpacked files
_MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_FASHION_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
_DIGITS = tuple(str(digit) for digit in range(10))
_ARTICLES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def load_mnist(split: str) -> Images:
    """MNIST, 60,000 + 10,000 digits, uint8 (N, 1, 28, 28)."""
    return _read("mnist", _EMBEDDED, split, _MNIST_SHA256, _DIGITS)


def load_fashion_mnist(split: str) -> Images:
    """Fashion-MNIST, 60,000 + 10,000 articles of clothing, uint8 (N, 1, 28, 28).

    Raises:
        DataUnavailable: if it is neither cached nor in the system's data folder and cannot be downloaded.
    """
    cached = cache_folder() / "FashionMNIST" / "raw"
    for folder in (cached, _SYSTEM):
        if all((folder / f"{part}.gz").is_file() for part in _PARTS[split]):
            return _read("fashion_mnist", folder, split, _FASHION_SHA256, _ARTICLES)
    _download_fashion_mnist()
    return _read("fashion_mnist", cached, split, _FASHION_SHA256, _ARTICLES)


def _download_fashion_mnist() -> None:
    from torchvision.datasets import FashionMNIST  # slow to import, and rarely needed

    folder = cache_folder() / "FashionMNIST" / "raw"
    try:
        with _timeout(15.0):
            FashionMNIST(str(cache_folder()), download=True)
    except (RuntimeError, OSError) as error:
        raise DataUnavailable("errors.no_fashion", folder=folder) from error


@contextlib.contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Without it a download behind a silent firewall would hang for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _read(name: str, folder: Path, split: str, sha256: dict[str, str], classes: tuple[str, ...]) -> Images:
    images, labels = (_read_idx(folder / f"{part}.gz", sha256[part]) for part in _PARTS[split])
    return Images(name, images.unsqueeze(1), labels.to(torch.int64), classes)


def _read_idx(path: Path, sha256: str) -> torch.Tensor:
    """One IDX file: two zeros, a type byte, the number of dimensions, each as big-endian int32, the data."""
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataUnavailable("errors.data_unreadable", path=path, why=error) from error
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise DataUnavailable("errors.data_damaged", path=path)
    num_dims = raw[3]
    shape = np.frombuffer(raw, ">i4", num_dims, offset=4)
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=4 + 4 * num_dims).reshape(shape).copy())
