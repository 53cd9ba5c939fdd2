"""Published diffusion models: the pixel-space DDPMs that Ho et al. 2020 (arXiv:2006.11239) trained.

Their weights are on the Hugging Face Hub as diffusers pipelines, and are downloaded when they are first asked
for. Architecture and schedule come with them; the sampler is DDIM (2010.02502) on the schedule they were
trained with, from its noisiest timestep down (2305.08891, table 2, "trailing"), which needs 20 evaluations of
the network where theirs took 1,000.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from playground.models._solvers import set_trailing, timesteps
from playground.nn import randn
from playground.spec import (
    About,
    Control,
    GenerativeModel,
    ModelSpec,
    Published,
    Recipe,
    Samples,
    SampleStep,
    Words,
)

_FILES = ("model_index.json", "config.json", "scheduler_config.json", "diffusion_pytorch_model.bin")


@dataclass(frozen=True)
class PublishedDDPMConfig:
    """What is known before the weights are here.

    Attributes:
        image_size: pixels, both ways.
    """

    image_size: int


class PublishedDDPM(GenerativeModel, Samples):
    """A diffusers pipeline's U-Net and schedule behind the interface of every other model."""

    def __init__(self, config: PublishedDDPMConfig) -> None:
        """Empty until `take_over`."""
        super().__init__()
        self.config = config
        self.denoiser: nn.Module = nn.Identity()
        self.schedule: Mapping[str, Any] = {}

    def take_over(self, files: Path) -> None:
        """Read a saved `diffusers.DDPMPipeline`; pickled weights are read as tensors only.

        Raises:
            ValueError: if the pipeline draws pictures of another size.
            OSError: if a file is missing or damaged.
        """
        from diffusers import DDPMPipeline

        pipeline = DDPMPipeline.from_pretrained(files, local_files_only=True)
        if pipeline.unet.config.sample_size != self.config.image_size:
            raise ValueError(f"The pipeline draws {pipeline.unet.config.sample_size} pixels.")
        self.denoiser, self.schedule = pipeline.unet, dict(pipeline.scheduler.config)

    @torch.no_grad()
    def sample(
        self,
        num: int,
        *,
        labels: Tensor | None = None,
        generator: torch.Generator,
        num_steps: int = 20,
        eta: float = 0.0,
        **controls: Any,
    ) -> Iterator[SampleStep]:
        """Draw `num` pictures by DDIM; what is shown on the way is the guess at the clean picture.

        Raises:
            ValueError: if num_steps is not in 1 to T.
        """
        from diffusers import DDIMScheduler

        scheduler = DDIMScheduler.from_config(dict(self.schedule))
        set_trailing(scheduler, num_steps)
        device = next(self.denoiser.parameters()).device
        size = self.config.image_size
        xt = randn((num, 3, size, size), generator, device)
        for step, t in enumerate(timesteps(scheduler), 1):
            eps_hat = self.denoiser(xt, t).sample
            noise = randn(xt.shape, generator, device) if eta else None
            moved = scheduler.step(eps_hat, t, xt, eta=eta, variance_noise=noise)
            xt = moved.prev_sample
            shown = xt if step == num_steps else moved.pred_original_sample
            yield SampleStep(step, num_steps, shown.clamp(-1, 1), step)


_ETA = Words("0 is DDIM, 1 adds as much noise as DDPM does.", "0 是 DDIM，1 加入与 DDPM 一样多的噪声。")
_CONTROLS = (
    Control("num_steps", Words("Steps", "步数"), 20, 1, 1000, 1),
    Control("eta", Words("Noise at each step (eta)", "每步噪声（eta）"), 0.0, 0.0, 1.0, 0.05, info=_ETA),
)
_FORMULA = (
    r"x_{t-1} = \sqrt{\bar\alpha_{t-1}} \, \hat x_0 + \sqrt{1 - \bar\alpha_{t-1} - \sigma_t^2} \, "
    r"\hat\epsilon(x_t, t) + \sigma_t z"
)
_STRENGTHS = Words(
    en="The pictures of the paper that made diffusion models known, from its own weights.",
    zh="使用让扩散模型广为人知的那篇论文自己的权重，画出论文中的图片。",
)
_WEAKNESSES = Words(
    en="Dozens of evaluations of a large network for each picture; without labels; its data set is not "
    "among ours, so it cannot be compared by our numbers.",
    zh="每张图片都要运行大网络几十次；不能指定类别；它的数据集不在本应用中，所以不能用这里的指标比较。",
)


def _spec(name: str, title: str, dataset: str, size: int, summary: Words, published: Published) -> ModelSpec:
    return ModelSpec(
        name=name,
        title=title,
        family="diffusion",
        year=2020,
        paper="2006.11239",
        model=PublishedDDPM,
        config=PublishedDDPMConfig(size),
        recipe=Recipe(num_steps=0),
        about=About(summary, _FORMULA, _STRENGTHS, _WEAKNESSES),
        controls=_CONTROLS,
        dataset=dataset,
        published=published,
    )


SPECS = (
    _spec(
        "ddpm_cifar10",
        "DDPM, CIFAR-10 (Ho et al.)",
        "cifar10",
        32,
        Words(
            en="A diffusion model of 36 million parameters, trained by its authors on CIFAR-10: ten "
            "classes of small photographs, 32 by 32 pixels. It is the same algorithm as our DDPM, with a "
            "U-Net forty times as large. A picture takes a few seconds on a small machine.",
            zh="作者用 CIFAR-10（十类 32×32 像素的小照片）训练的扩散模型，有 3600 万个参数。"
            "算法与这里的 DDPM 相同，U-Net 大约大四十倍。在小机器上每张图片需要几秒。",
        ),
        Published(
            page="https://huggingface.co/google/ddpm-cifar10-32",
            licence="Apache-2.0",
            num_bytes=143_000_000,
            files=_FILES,
            repo="google/ddpm-cifar10-32",
            revision="267b167dc01f0e4e61923ea244e8b988f84deb80",
            num_pictures=4,
        ),
    ),
    _spec(
        "ddpm_celebahq",
        "DDPM, CelebA-HQ (Ho et al.)",
        "celeba_hq",
        256,
        Words(
            en="A diffusion model of 114 million parameters, trained by its authors on 30,000 photographs "
            "of celebrities, 256 by 256 pixels. The faces it draws belong to nobody. "
            "A picture takes minutes on a small machine and seconds on a GPU.",
            zh="作者用三万张 256×256 像素的名人照片训练的扩散模型，有 1.14 亿个参数。"
            "它画出的面孔不属于任何人。在小机器上每张图片需要几分钟，在 GPU 上只要几秒。",
        ),
        Published(
            page="https://huggingface.co/google/ddpm-celebahq-256",
            licence="Apache-2.0",
            num_bytes=454_853_117,
            files=_FILES,
            repo="google/ddpm-celebahq-256",
            revision="cd5c944777ea2668051904ead6cc120739b86c4d",
            num_pictures=1,
        ),
    ),
)
