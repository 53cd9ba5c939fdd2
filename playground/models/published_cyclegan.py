"""Published CycleGANs: the generators that the authors of arXiv:1703.10593 trained on photographs at 256x256.

Each pair of domains is two files, one a direction, on the project's own server; they are downloaded when they
are first asked for and read as tensors only. The architecture is `ResnetGenerator` with nine blocks, the
names of whose tensors `load_official` knows.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from playground.models._translation_networks import load_official
from playground.models.cyclegan import FORMULA
from playground.spec import About, GenerativeModel, ModelSpec, Published, Recipe, Translates, Words

_SERVER = "https://efrosgans.eecs.berkeley.edu/cyclegan/pretrained_models/"


@dataclass(frozen=True)
class PublishedCycleGANConfig:
    """What is known before the weights are here.

    Attributes:
        files: of the generators A to B and B to A.
        looks: of the pictures, A and B.
        image_size: pixels, both ways, that they were trained on.
    """

    files: tuple[str, str]
    looks: tuple[Words, Words]
    image_size: int = 256


class PublishedCycleGAN(GenerativeModel, Translates):
    """Two published generators; nobody published their discriminators."""

    def __init__(self, config: PublishedCycleGANConfig) -> None:
        """Empty until `take_over`."""
        super().__init__()
        self.config = config
        self.generators = nn.ModuleDict({"ab": nn.Identity(), "ba": nn.Identity()})

    def take_over(self, files: Path) -> None:
        """Read both generators; raises ValueError if a file holds anything else."""
        for direction, name in zip(("ab", "ba"), self.config.files, strict=True):
            self.generators[direction] = load_official(str(files / name))

    @torch.no_grad()
    def translate(self, x: Tensor, direction: str, generator: torch.Generator | None = None) -> Tensor:
        """(B, 3, H, W) in [-1, 1], H and W multiples of 4 -> the same shape. Nothing in it is random."""
        self.check_direction(direction)
        return self.generators[direction](x)


_STRENGTHS = Words(
    en="The authors' own weights, trained on photographs for days; any picture of yours can go through them.",
    zh="作者自己的权重，用照片训练了数天；你可以让任何图片通过它们。",
)
_WEAKNESSES = Words(
    en="They know only what they were trained on, and do the same to all else: a zebra's rider has stripes.",
    zh="它们只认识训练时见过的东西，对别的一视同仁：例如马背上的骑手也会被画上斑马的条纹。",
)


def _spec(
    name: str,
    title: str,
    dataset: str,
    files: tuple[str, str],
    looks: tuple[Words, Words],
    summary: Words,
) -> ModelSpec:
    return ModelSpec(
        name=name,
        title=title,
        family="gan",
        year=2017,
        paper="1703.10593",
        model=PublishedCycleGAN,
        config=PublishedCycleGANConfig(files, looks),
        recipe=Recipe(num_steps=0),
        about=About(summary, FORMULA, _STRENGTHS, _WEAKNESSES),
        dataset=dataset,
        published=Published(
            page="https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix",
            licence="BSD (the project's code; the weights name none of their own)",
            num_bytes=91_000_000,
            files=files,
            url=_SERVER,
            num_pictures=1,
        ),
    )


SPECS = (
    _spec(
        "cyclegan_horse2zebra",
        "CycleGAN, horse and zebra (Zhu et al.)",
        "horse2zebra_unpaired",
        ("horse2zebra.pth", "zebra2horse.pth"),
        (Words("horse", "马"), Words("zebra", "斑马")),
        Words(
            en="The best-known result of unpaired translation: horses become zebras, and zebras horses. "
            "Two generators of 11 million parameters each, trained by the authors on photographs.",
            zh="无配对图像转换最著名的结果：马变成斑马，斑马变成马。"
            "两个生成器各有 1100 万个参数，由作者用照片训练。",
        ),
    ),
    _spec(
        "cyclegan_monet2photo",
        "CycleGAN, Monet and photograph (Zhu et al.)",
        "monet2photo_unpaired",
        ("monet2photo.pth", "style_monet.pth"),
        (Words("painting by Monet", "莫奈的画"), Words("photograph", "照片")),
        Words(
            en="Paintings by Monet become photographs, and photographs become paintings in his manner. "
            "Two generators of 11 million parameters each, trained by the authors.",
            zh="莫奈的画变成照片，照片变成莫奈风格的画。两个生成器各有 1100 万个参数，由作者训练。",
        ),
    ),
)
