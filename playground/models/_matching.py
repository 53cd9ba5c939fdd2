r"""Distribution matching: what the pictures of one step learn from two scores (Yin et al. 2024, 2311.18828).

A regression towards a teacher's pictures ends in their mean, which is soft. Here no picture has a target; the
generator's pictures as a whole shall be distributed as the teacher's are. Noised to x_t = (1 - t) x + t eps,
the gradient by x of KL(generated || teacher) is the difference of the two scores (eq. 7), and a score is what
a network that denoises knows: the teacher of its own pictures, a copy of it of the generator's, which
it goes on learning (eq. 6). In terms of what either takes x to be,

    dKL/dx = E  w (x0_hat_copy(x_t) - x0_hat_teacher(x_t)),      w = 1 / mean |x - x0_hat_teacher|     (eq. 8)

Differences from the paper: a flow-matching teacher, so the scores are those of its velocity; the copy learns
twice for every time the generator does (2405.14867, section 4.2, has five), and some time before it begins.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.optim import Optimizer

from playground.models.flow_matching import FlowMatching
from playground.nn import adam, randn, spread, update
from playground.spec import Recipe

TURNS = 2  # of the copy, for one of the generator
AHEAD = 50  # updates in which only the copy learns
LR = 0.15  # of the copy, as a share of the generator's
_EDGE = 0.02  # times closer to 0 and 1 than this are left out: there is nothing to see, or nothing to tell

_PREFIX = "copy."


class Matching:
    """A teacher and a copy of it that learns the generator's pictures."""

    def __init__(self, teacher: FlowMatching, guidance: float) -> None:
        """The teacher's pictures are those of that guidance (2207.12598, eq. 6); it stays as it is."""
        self.teacher, self.guidance = teacher, guidance
        self.copy = copy.deepcopy(teacher).requires_grad_(True)
        self.num_updates = torch.tensor(0)
        self.distance = 0.0  # of the two answers to one question, squared, the latest

    def optimizer(self, hp: Recipe) -> Optimizer:
        """The copy's."""
        return adam(self.copy.parameters(), replace(hp, lr=LR * hp.lr))

    def loss(
        self, drawn: Callable[[], Tensor], labels: Tensor, generator: torch.Generator, optimizer: Optimizer
    ) -> Tensor | None:
        """The copy learns, then: a loss whose gradient by the generator's pictures is `gradient`.

        None while the copy is to learn alone.

        Args:
            drawn: draws pictures of the (B,) labels.
            labels: num_classes means none.
            generator: of all noise but the pictures'.
            optimizer: the copy's.
        """
        for _ in range(TURNS):
            with torch.no_grad():
                x = drawn()
            self.learn(x, labels, generator, optimizer)
        self.num_updates += 1
        if self.num_updates <= AHEAD:
            return None
        x = drawn()
        return (x * self.gradient(x.detach(), labels, generator)).mean()

    def learn(self, x: Tensor, labels: Tensor, generator: torch.Generator, optimizer: Optimizer) -> None:
        """Show the copy pictures (B, C, H, W) of the generator's, as in its own training (eq. 6)."""
        eps, t = randn(x.shape, generator, x.device), _times(len(x), generator, x.device)
        update(self.copy.to(x.device).loss(x, labels, eps, t), optimizer)

    @torch.no_grad()
    def gradient(self, x: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """dKL/dx (eq. 7 and 8) at pictures (B, C, H, W) with (B,) labels, num_classes meaning none."""
        t = _times(len(x), generator, x.device)
        mix = t.view(-1, 1, 1, 1)
        xt = torch.lerp(x, randn(x.shape, generator, x.device), mix)
        self.teacher.to(x.device)
        none = torch.full_like(labels, self.teacher.config.unet.num_classes)
        told, untold = (self.teacher.field(xt, t, given) for given in (labels, none))
        real = xt - mix * torch.lerp(untold, told, self.guidance)
        fake = xt - mix * self.copy.field(xt, t, labels)
        self.distance = (fake - real).square().mean().item()
        return (fake - real) / (x - real).abs().mean((1, 2, 3), keepdim=True).clamp(min=1e-3)

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        own = {"num_updates": self.num_updates} | dict(self.copy.state_dict())
        return {_PREFIX + key: value for key, value in own.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` returned; other keys are ignored."""
        own = {key.removeprefix(_PREFIX): v for key, v in state.items() if key.startswith(_PREFIX)}
        if own:
            self.num_updates = own.pop("num_updates").cpu()
            self.copy.load_state_dict(own)


def _times(num: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """(num,) times, evenly spread, as flow matching's."""
    return _EDGE + (1 - 2 * _EDGE) * spread(num, generator, device)
