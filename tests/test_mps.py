"""Apple's GPUs have no double precision: what is computed in it leaves them first.

There is none here, so one is pretended to be there, whose tensors are the CPU's and refuse what its would.
"""

import ast
import copy

import pytest
import torch
from contract_helpers import fresh, having, pictures
from test_architecture import TREES
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from playground import evaluation, flowing, mending, pixels, registry, restoring, scoring, velocity
from playground.models._logistic import logistic_to_normal, normal_to_logistic

CPU, MPS = torch.device("cpu"), torch.device("mps")


class Pretend(TorchFunctionMode):
    """Tensors that are there, and all that is made of them, are marked, until `cpu` brings them back."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        leaves, shape = tree_flatten((args, kwargs or {}))
        marked = any(x == MPS if isinstance(x, torch.device) else hasattr(x, "there") for x in leaves)
        if func == Tensor.device.__get__ and marked:
            return MPS
        args, kwargs = tree_unflatten([CPU if isinstance(x, torch.device) else x for x in leaves], shape)
        found = func(*args, **kwargs)
        if func == Tensor.cpu:
            return found.clone()
        for x in tree_leaves(found) if marked else ():
            if isinstance(x, Tensor):
                if x.dtype == torch.float64:
                    raise TypeError("Cannot convert a MPS Tensor to float64 dtype.")
                x.there = True
        return found


def there(name):
    """A model on the pretended GPU."""
    model = copy.deepcopy(fresh(name))
    for x in (*model.parameters(), *model.buffers()):
        x.there = True
    return model


def test_the_pretence():
    with Pretend():
        x = torch.randn(3).to(MPS)
        assert (2 * x).sum().device == MPS and (x * 2).cpu().device == CPU
        assert x.cpu().double().dtype == torch.float64
        with pytest.raises(TypeError, match="float64"):
            (x - 1).double()


@having("HasLikelihood")
def test_likelihoods(name):
    (x, labels), model = pictures(name, 2), there(name)
    with Pretend():
        found = scoring.log_prob(model, x, labels)
        list(evaluation._likelihood(registry.spec(name), model, 2))
    torch.testing.assert_close(found, scoring.log_prob(fresh(name), x, labels), rtol=1e-4, atol=1e-2)


@having("Flows")
def test_ways_through_flows(name):
    x, _ = pictures(name, 1)
    with Pretend():
        found = flowing.travel(there(name), x)
    assert found.nats == pytest.approx(flowing.travel(fresh(name), x).nats, rel=1e-3)


@having("HasScore")
def test_likelihoods_along_the_flow(name):
    (x, _), model = pictures(name, 1), there(name)
    with Pretend():
        *_, found = restoring.flow_likelihood(
            model, x.to(MPS), labels=None, generator=torch.Generator().manual_seed(0), num_steps=2
        )
        assert mending.told(found, x.numel())["own"] > 0 and found.nats.device == MPS
        assert restoring.matching_timestep(model, 1.0) > 0


@having("Denoises")
def test_mixtures(name):
    with Pretend():
        alpha, _ = velocity.mixture(there(name), [0, 1])
    assert torch.equal(alpha, velocity.mixture(fresh(name), [0, 1])[0])


@having("PredictsPixels")
def test_readings_and_fields(name):
    (x, _), model = pictures(name, 1), there(name)

    def network(x):
        return model.pixel_logits(x, torch.zeros(len(x), dtype=torch.long, device=MPS))

    with Pretend():
        assert pixels.read(model, x).nats.dtype == torch.float64
        assert pixels.field(network, x.to(MPS), 10, 10).strength.dtype == torch.float64


def test_quantiles():
    h = torch.linspace(-20, 20, 9)
    with Pretend():
        z = logistic_to_normal(h.to(MPS))
        assert z.device == MPS and normal_to_logistic(z).device == MPS
    torch.testing.assert_close(z, logistic_to_normal(torch.linspace(-20, 20, 9)))


def test_nothing_is_doubled_on_its_way_to_the_cpu():
    """`.cpu().double()` works on Apple's GPUs, `.double().cpu()` does not."""
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr == "cpu":
                before = ast.unparse(node.value)
                assert not before.endswith(".double()"), f"{module}, line {node.lineno}: {before}.cpu()"
