"""Several processes that train one model together, as ``accelerate launch`` or ``torchrun`` starts them.

Every process builds the same model from the same seed, has batches of its own (of the recipe's size, every
picture once an epoch) and its own noise, and steps along the mean of all gradients, so the weights stay
equal as in DistributedDataParallel (2006.15704). Batch norm normalises within each process's batch. What no
gradient moves (its statistics, a code book) is the main process's, and so is the clock. A process that
works alone gets back from every function here what it gave.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from playground import device

_APART = 2_654_435_769  # between the seeds of two processes: a CPU's generator takes 32 bits of a seed


def launched() -> bool:
    """Whether a launcher started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_main() -> bool:
    """Whether this process is the one that prints and writes."""
    return not launched() or os.environ.get("RANK") == "0"


@contextmanager
def together() -> Iterator[torch.device]:
    """Work with the other processes, if several were launched; gives this one's own device.

    After an error nobody waits for the others, who may never come.
    """
    where = device.pick()
    if not launched():
        yield where
        return
    if where.type == "cuda":
        where = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(where)
    dist.init_process_group("cpu:gloo,cuda:nccl" if where.type == "cuda" else "gloo")
    yield where
    dist.destroy_process_group()


def size() -> int:
    """How many processes work together."""
    return dist.get_world_size() if _joined() else 1


def rank() -> int:
    """Which of them this one is, from 0, the main one."""
    return dist.get_rank() if _joined() else 0


def stream(seed: int) -> int:
    """The seed of this process's own noise; that of the main one is the run's."""
    return seed + _APART * rank()


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Put the mean over all processes in the place of every gradient."""
    if not _joined():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = _flat(gradients)
    dist.all_reduce(flat)
    _fill(gradients, flat / size())


@torch.no_grad()
def follow_main(model: nn.Module, *, whole: bool) -> None:
    """Take over the main process's buffers of real numbers and, if `whole`, its parameters."""
    tensors = [*model.buffers(), *(model.parameters() if whole else ())]
    floating = [x for x in tensors if x.is_floating_point()]
    if not _joined() or not floating:
        return
    flat = _flat(floating)
    dist.broadcast(flat, 0)
    _fill(floating, flat)


def clock(seconds: float) -> float:
    """What the main process's clock says."""
    if not _joined():
        return seconds
    told = torch.tensor(seconds, dtype=torch.float64)
    dist.broadcast(told, 0)
    return told.item()


def mean(metrics: dict[str, float]) -> dict[str, float]:
    """The mean over all processes, which have the same keys; not finite where one of them is not."""
    if not _joined():
        return metrics
    values = torch.tensor(list(metrics.values()), dtype=torch.float64)
    dist.all_reduce(values)
    return dict(zip(metrics, (values / size()).tolist(), strict=True))


def anyone(flag: bool) -> bool:
    """Whether the flag is up in any process."""
    return mean({"flag": float(flag)})["flag"] > 0


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()


def _flat(tensors: list[Tensor]) -> Tensor:
    """All in one, to send them at once."""
    return torch.cat([x.flatten() for x in tensors])


def _fill(tensors: list[Tensor], flat: Tensor) -> None:
    for x, part in zip(tensors, flat.split([x.numel() for x in tensors]), strict=True):
        x.copy_(part.view(x.shape))
