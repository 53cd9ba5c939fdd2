"""A network's pass without gradients as a CUDA graph: all its kernels are sent to the GPU at once.

A small network on a large GPU spends its time on launching kernels, one after the other from Python, not on
running them. A CUDA graph records the launches of one pass, for inputs of one shape, and replays them with
other inputs. Elsewhere, on a CPU, with gradients or in training, nothing is recorded and the network runs as
it is; and nothing is recorded for so few passes that recording would cost more than it saves.
"""

import logging
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

EAGER = 3  # passes with inputs of a shape before one is recorded
MAX_GRAPHS = 8  # of one network; the latest used are kept
_WARM_UP = 3  # passes on a stream of its own, in which libraries choose their kernels
_LOG = logging.getLogger("playground")
enabled = True  # benchmarks turn it off to compare

Forward = Callable[..., Tensor]


@dataclass(frozen=True)
class Recorded:
    """A pass that can be replayed: it reads `inputs` and writes `output`, always the same memory."""

    inputs: Sequence[Tensor | None]
    output: Tensor
    replay: Callable[[], Any]


@dataclass
class _Graphs:
    """What is recorded of one network; None for inputs whose pass cannot be recorded."""

    weights: list[Tensor]
    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: Counter[Any] = field(default_factory=Counter)
    kept: OrderedDict[Any, Recorded | None] = field(default_factory=OrderedDict)


_ALL: WeakKeyDictionary[nn.Module, _Graphs] = (
    WeakKeyDictionary()
)  # beside the networks: graphs cannot be copied
_GUARD = threading.Lock()


def possible(network: nn.Module, x: Tensor) -> bool:
    """Whether a pass of `network` may be replayed: on a GPU, without gradients, and not in training."""
    return enabled and x.is_cuda and not network.training and not torch.is_grad_enabled()


def run(network: nn.Module, forward: Forward, *inputs: Tensor | None) -> Tensor:
    """What `forward(*inputs)` returns, replayed where that is possible and worth it.

    Args:
        network: whose weights `forward` reads; they may change in place, as training changes them.
        forward: reads nothing but its inputs and the weights, and does not wait for the GPU.
        inputs: the first one is a tensor.
    """
    x = inputs[0]
    if x is None or not possible(network, x):
        return forward(*inputs)
    with _GUARD:
        graphs = _ALL.get(network)
        if graphs is None:
            graphs = _ALL[network] = _Graphs([*network.parameters(), *network.buffers()])
    with graphs.lock:
        found = _find(graphs, forward, inputs)
        if found is None:
            return forward(*inputs)
        for kept, given in zip(found.inputs, inputs, strict=True):
            if kept is not None and given is not None:
                kept.copy_(given)
        found.replay()
        return found.output.clone()


def _find(graphs: _Graphs, forward: Forward, inputs: Sequence[Tensor | None]) -> Recorded | None:
    """The recorded pass for such inputs, recorded now if its time has come; None until then."""
    shapes = tuple(None if one is None else (one.shape, one.dtype, one.device) for one in inputs)
    places = tuple(weight.data_ptr() for weight in graphs.weights)  # moved weights are others
    key = (getattr(forward, "__name__", ""), shapes, places)
    if key not in graphs.kept:
        graphs.seen[key] += 1
        if graphs.seen[key] <= EAGER:
            return None
        try:
            graphs.kept[key] = record(forward, inputs)
        except RuntimeError as error:  # something in it waits for the GPU, or there is no memory left
            _LOG.warning("A network's pass could not be recorded and runs as it is: %s", error)
            graphs.kept[key] = None
        if len(graphs.kept) > MAX_GRAPHS:
            gone, _ = graphs.kept.popitem(last=False)
            del graphs.seen[gone]
    graphs.kept.move_to_end(key)
    return graphs.kept[key]


def record(forward: Forward, inputs: Sequence[Tensor | None]) -> Recorded:
    """Record a pass; other threads may use the GPU meanwhile.

    Raises:
        RuntimeError: if something in it cannot be recorded.
    """
    with torch.inference_mode(False), torch.no_grad():
        kept = [None if one is None else one.detach().clone() for one in inputs]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                forward(*kept)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            output = forward(*kept)
    return Recorded(kept, output, graph.replay)
