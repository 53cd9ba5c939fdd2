"""The ways that a flow-matching teacher walks from noise to data, the newest of them kept to learn from."""

import copy
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from playground.models.flow_matching import FlowMatching
from playground.nn import rand, randint, randn


class Pairs(NamedTuple):
    """Points of ways: xt (B, C, H, W) at the times t (B,), xr on the same ways at r < t, and (B,) labels."""

    xt: Tensor
    xr: Tensor
    t: Tensor
    r: Tensor
    labels: Tensor


class Ways:
    """A teacher, and the ways that it walked last."""

    def __init__(self, teacher: FlowMatching, *, steps: int, fresh: int, pool: int, guidance: float) -> None:
        """Ways of `steps` Euler steps, `fresh` of them walked at a time and `pool` kept; a teacher's copy."""
        self.teacher = copy.deepcopy(teacher)
        self.steps, self.fresh, self.pool, self.guidance = steps, fresh, pool, guidance
        self.known: dict[str, Tensor] = {}  # ways (N, steps + 1, C, H, W) and their labels (N,)

    @torch.no_grad()
    def walk(self, eps: Tensor, labels: Tensor) -> Tensor:
        """The teacher's ways from (B, C, H, W) noise: (steps + 1, B, C, H, W), guided where labels say."""
        self.teacher.to(eps.device)
        ways = [eps]
        for k in range(self.steps):
            v = self.teacher.velocity(ways[-1], 1 - k / self.steps, labels, self.guidance)
            ways.append(ways[-1] - v / self.steps)
        return torch.stack(ways)

    def pairs(self, shape: tuple[int, ...], labels: Tensor, generator: torch.Generator) -> Pairs:
        """Walk some ways to the first of the (B,) labels, then take points of (B, C, H, W) = shape of any."""
        device, fresh = labels.device, labels[: self.fresh]
        walked = self.walk(randn((len(fresh), *shape[1:]), generator, device), fresh).transpose(0, 1)
        for key, new in {"ways": walked, "labels": fresh}.items():
            kept = self.known.get(key, new[:0]).to(device)
            self.known[key] = torch.cat([kept, new])[-self.pool :]
        ways, way = self.known["ways"], randint(len(self.known["ways"]), shape[0], generator, device)
        first, last = self._ends(shape[0], generator, device)
        t, r = 1 - first / self.steps, 1 - last / self.steps
        return Pairs(ways[way, first], ways[way, last], t, r, self.known["labels"][way])

    def _ends(self, num: int, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        """(num,) steps where a pair begins and where it ends, later.

        A quarter of the pairs are whole ways, another quarter end with them, the others are any.
        """
        first = (rand((num,), generator, device) * self.steps).long()
        first[: num // 4] = 0
        last = first + 1 + (rand((num,), generator, device) * (self.steps - first)).long()
        last[: num // 2] = self.steps
        return first, last

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over ways that were `known`; other keys are ignored."""
        self.known = {key: state[key] for key in ("ways", "labels") if key in state}
