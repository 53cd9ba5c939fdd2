"""MNIST as a torchvision data set serves it: PIL pictures, to a tensor, normalised, one by one."""

import timing  # noqa: F401  (puts the repository on the path)
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from playground import data


class UsualMNIST(Dataset):
    """What torchvision.datasets.MNIST does for every picture of every epoch."""

    def __init__(self) -> None:
        """The embedded pictures."""
        self.digits = data.load("mnist")
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.digits)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """(1, 28, 28) in [-1, 1] and the label."""
        picture = Image.fromarray(self.digits.images[index, 0].numpy(), mode="L")
        return self.transform(picture), int(self.digits.labels[index])


def loader(batch_size: int) -> DataLoader:
    """Shuffled batches, loaded in this process."""
    return DataLoader(UsualMNIST(), batch_size=batch_size, shuffle=True, drop_last=True)
