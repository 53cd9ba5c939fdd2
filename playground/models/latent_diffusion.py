r"""Latent diffusion: words to emoji (Rombach et al. 2021, arXiv:2112.10752, in small).

Diffusion is learnt not on pixels but on the 8x8 codes of an autoencoder (`emoji_vae`, which stays as it is),
by a U-Net that looks at the words of a caption through cross-attention (section 3.3). With z_0 = encode(x),
v the velocity of 2202.00512 (appendix D) and tau(y) the text encoder's states, learnt along,

    z_t = sqrt(a_t) z_0 + sqrt(1 - a_t) eps,            v = sqrt(a_t) eps - sqrt(1 - a_t) z_0
    L = E || v - v_theta(z_t, t, tau(y)) ||^2                                                          (eq. 3)
    Attention(Q, K, V) = softmax(Q K^T / sqrt(d)) V,    Q = W_Q phi(z_t),  K = W_K tau(y),  V = W_V tau(y)

Sometimes the caption is hidden in training; in drawing, the difference that the words make is exaggerated
(classifier-free guidance, 2207.12598), and a negative prompt takes the place of "no words":

    v_hat = v_theta(z_t, negative) + guidance (v_theta(z_t, words) - v_theta(z_t, negative)).

Differences from the paper: the U-Net is told the whole caption's vector beside the time, as well; v instead
of eps, which suits few steps; captions are worded anew every time; some training pictures change their colour
and say so ("blue dog"), so that colours go with things that they were never seen on. Steps are DPM-Solver++'s
(2211.01095) or DDIM's (2010.02502).
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from playground.data import emoji
from playground.models._emoji_captions import plain, vary
from playground.models._emoji_colours import recoloured
from playground.models._solvers import set_trailing, timesteps
from playground.models._text_encoder import Text, TextConfig, TextEncoder
from playground.models._word_guide import Guide
from playground.models._word_unet import build_unet
from playground.models.emoji_vae import EmojiVAE, EmojiVAEConfig
from playground.nn import adam, randint, randn, spread, update
from playground.spec import (
    About,
    Batch,
    Control,
    FollowsWords,
    GenerativeModel,
    ModelSpec,
    Recipe,
    Samples,
    SampleStep,
    Words,
    WordStep,
)

SOLVERS = ("DPM-Solver++", "DDIM")


@dataclass(frozen=True)
class LatentDiffusionConfig:
    """Shape of the networks and what happens to captions.

    Attributes:
        vae: of the first stage.
        text: of the text encoder.
        widths: channels of the U-Net on 8x8 and 4x4 codes.
        num_blocks: residual blocks on each of the two, on the way down; one more on the way up.
        num_heads: of every attention.
        num_timesteps: T of training.
        hidden: share of the captions that are hidden in training.
        recoloured: share of the training pictures that change their colour.
    """

    vae: EmojiVAEConfig = field(default_factory=EmojiVAEConfig)
    text: TextConfig = field(default_factory=TextConfig)
    widths: tuple[int, int] = (80, 112)
    num_blocks: int = 1
    num_heads: int = 4
    num_timesteps: int = 1000
    hidden: float = 0.12
    recoloured: float = 0.15


class LatentDiffusion(GenerativeModel, Samples, FollowsWords):
    """A diffusion model of an autoencoder's latents that follows words."""

    def __init__(self, config: LatentDiffusionConfig) -> None:
        """Build the three networks; the autoencoder's weights are for `learn_from` to bring, and fixed."""
        super().__init__()
        self.config, self.max_norm = config, 0.0
        self.latent_shape = (config.vae.latent_channels, 8, 8)
        self.vae = EmojiVAE(config.vae).requires_grad_(False)
        self.text = TextEncoder(config.text)
        self.denoiser = build_unet(
            config.vae.latent_channels, config.widths, config.num_blocks, config.num_heads, config.text.width
        )
        self.alphas_cumprod = self.scheduler("DDIM").alphas_cumprod
        self._latents: dict[int, Tensor] = {}  # of training pictures by place, as the autoencoder is fixed

    def scheduler(self, solver: str) -> Any:
        """A fresh scheduler of diffusers, for it keeps state: the cosine schedule, v-prediction."""
        from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

        common = {
            "num_train_timesteps": self.config.num_timesteps,
            "beta_schedule": "squaredcos_cap_v2",
            "prediction_type": "v_prediction",
        }
        if solver == "DDIM":
            return DDIMScheduler(**common, clip_sample=False)
        return DPMSolverMultistepScheduler(**common)

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """One AdamW for the U-Net and the text encoder, which learns along."""
        self.max_norm = hp.max_norm
        return {"denoiser": adam([*self.denoiser.parameters(), *self.text.parameters()], hp)}

    def learn_from(self, teacher: GenerativeModel) -> None:
        """Take over the first stage: the autoencoder's weights."""
        self.vae.load_state_dict(teacher.state_dict())
        self._latents.clear()

    def velocity(self, zt: Tensor, t: Tensor, text: Text, record: list[Tensor] | None = None) -> Tensor:
        """v_theta of (B, *latent_shape), (B,) timesteps and the encoded captions, the same shape."""
        return self.denoiser(
            zt.contiguous(memory_format=torch.channels_last),
            t,
            encoder_hidden_states=text.states,
            encoder_attention_mask=text.mask,
            class_labels=text.states[:, 0],
            cross_attention_kwargs={"record": record},
        ).sample

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """One update of U-Net and text encoder; the loss is the mean squared error of v (eq. 3)."""
        z0, captions = self.worded(batch)
        num, generator, device = len(z0), batch.generator, z0.device
        t = spread(num, generator, device)
        t = (t * self.config.num_timesteps).long()
        eps = randn(z0.shape, generator, device)
        a = self.alphas_cumprod.to(device)[t].view(-1, 1, 1, 1)
        zt, v = a.sqrt() * z0 + (1 - a).sqrt() * eps, a.sqrt() * eps - (1 - a).sqrt() * z0
        v_hat = self.velocity(zt, t, self.text(captions, generator))
        loss = (v_hat - v).square().mean()
        update(loss, optimizers["denoiser"], self.max_norm)
        return {"loss": loss.item()}

    @torch.no_grad()
    def worded(self, batch: Batch) -> tuple[Tensor, list[str]]:
        """Latents of a batch's pictures, some in other colours, and captions, some of them hidden."""
        rng = random.Random(int(randint(2**31, 1, batch.generator).item()))
        self._remember(batch)
        latents, captions = [], []
        for x, place in zip(batch.x, batch.labels.tolist(), strict=True):
            z, colour = self._latents[place].to(x.device), ""
            if rng.random() < self.config.recoloured:
                other, colour = recoloured(x, rng)
                z = self.vae.encode(other[None])[0] if colour else z
            latents.append(z)
            captions.append("" if rng.random() < self.config.hidden else vary(place, rng, colour))
        return torch.stack(latents), captions

    def _remember(self, batch: Batch) -> None:
        """Encode those of a batch's pictures that were not met before."""
        if new := [i for i, place in enumerate(batch.labels.tolist()) if place not in self._latents]:
            for place, z in zip(batch.labels[new].tolist(), self.vae.encode(batch.x[new]), strict=True):
                self._latents[place] = z

    def words(self, prompt: str) -> list[str]:
        """The words that the text encoder reads."""
        return self.text.words(prompt)

    @torch.no_grad()
    def illustrate(
        self,
        prompts: list[str],
        *,
        negative: str = "",
        others: list[str] | None = None,
        mix: Tensor | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator,
        **controls: Any,
    ) -> Iterator[WordStep]:
        """Draw what prompts say, step by step; between two prompts velocities are mixed."""
        num, device = len(prompts), next(self.parameters()).device
        scheduler = self.scheduler(controls.get("solver", SOLVERS[0]))
        set_trailing(scheduler, num_steps := controls.get("num_steps", 20))
        z = (randn((num, *self.latent_shape), generator) if noise is None else noise).to(device)
        guidance = controls.get("guidance", 4.0)
        guide = Guide(self.velocity, self.text, prompts, negative, others, mix, guidance)
        for step, t in enumerate(timesteps(scheduler), 1):
            v, attention = guide(z, torch.tensor(t, device=device))
            a = self.alphas_cumprod[t].item()
            z0_hat = a**0.5 * z - (1 - a) ** 0.5 * v
            xt, x0_hat = self.vae.decode(torch.cat([z, z0_hat])).chunk(2)
            yield WordStep(step, num_steps, xt, x0_hat, attention, guide.nfe * step)
            z = scheduler.step(v, t, z).prev_sample

    @torch.no_grad()
    def sample(
        self, num: int, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """Draw what the control `prompt` says; if it says nothing, emoji by their names.

        These are at `labels`, places of `emoji.load_named`, or training emoji at random, in either hand.
        """
        prompt = controls.get("prompt", "").strip()
        prompts = [prompt] * num if prompt else _named(num, labels, generator)
        for moment in self.illustrate(prompts, generator=generator, **controls):
            yield SampleStep(moment.step, moment.num_steps, moment.x0_hat, moment.nfe, tuple(prompts))


def _named(num: int, labels: Tensor | None, generator: torch.Generator) -> list[str]:
    if labels is None:
        known = torch.tensor(emoji.indices("train"))
        known = torch.cat([known, known + len(emoji.entries())])
        labels = known[randint(len(known), num, generator)]
    return [plain(place) for place in labels.tolist()]


SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="latent_diffusion",
        title="Latent diffusion",
        family="diffusion",
        year=2021,
        paper="2112.10752",
        model=LatentDiffusion,
        config=LatentDiffusionConfig(),
        recipe=Recipe(
            num_steps=10000, batch_size=32, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01, warmup=200,
            ema=0.999, max_norm=1.0,
        ),
        about=About(
            summary=Words(
                "A small text encoder reads a few words, and a diffusion model that looks at them draws the "
                "codes of an emoji, which an autoencoder turns into a picture. "
                "Working on 8x8 codes instead of 64x64 pixels is what makes it quick. "
                "It learnt from the names of 1,715 emoji in two styles, Noto and Twemoji.",
                "小型文本编码器读入几个词，扩散模型一边看着这些词，一边画出表情符号的编码，再由自编码器把编码变成"
                "图片。在 8x8 的编码上而不是 64x64 的像素上工作，所以速度快。它学过 1,715 个表情符号的名称，"
                "有 Noto 和 Twemoji 两种画风。",
            ),
            formula=r"\mathcal{L} = \mathbb{E}_{z_0, y, \epsilon, t} \lVert v - v_\theta(z_t, t, \tau(y)) "
            r"\rVert^2, \quad z_0 = \mathcal{E}(x)",
            strengths=Words(
                "Follows words, also those put together anew, in about a second; the same noise and another "
                "word shows what the word does.",
                "能按文字作画，包括从未见过的词语组合，大约一秒完成；同样的噪声换一个词，就能看到这个词的作用。",
            ),
            weaknesses=Words(
                "A few thousand pictures and an hour and a half of two processor cores are little: "
                "hearts, faces, flags, clocks and people come out, but of many single things only the "
                "kind and the colour.",
                "几千张图片、两个处理器核心一个半小时的训练都太少：爱心、笑脸、旗帜、时钟和人物"
                "画得出来，但许多具体的东西只有种类和颜色是对的。",
            ),
        ),
        controls=(
            Control("prompt", Words("Words", "文字"), "",
                    info=Words("What to draw, in English; left empty, the names of emoji drawn at random.",
                               "用英文写要画的内容；留空则随机抽取表情符号的名称来画。")),
            Control("num_steps", Words("Steps", "步数"), 20, 1, 100, 1,
                    info=Words("More steps follow the path from noise to picture more closely.",
                               "步数越多，越贴近从噪声到图片的路径。")),
            Control("guidance", Words("Guidance", "引导强度"), 4.0, 0.0, 10.0, 0.5,
                    info=Words("0 ignores the words, more than 1 exaggerates them.",
                               "0 忽略文字，大于 1 则夸大文字。")),
            Control("solver", Words("Sampler", "采样器"), SOLVERS[0], choices=SOLVERS,
                    info=Words("DPM-Solver++ needs fewer steps than DDIM.",
                               "DPM-Solver++ 需要的步数比 DDIM 少。")),
        ),
        preview={"num_steps": 12},
        dataset="emoji_named",
        starts_from="emoji_vae",
    ),
)  # fmt: skip
