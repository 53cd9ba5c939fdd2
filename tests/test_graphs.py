"""Recorded passes: when one is recorded, that it says what the network says, and what if it cannot be."""

import copy
import gc
from weakref import WeakMethod

import pytest
import torch

from playground import graphs
from playground.nn import UNet, UNetConfig


def network(seed=0):
    """A small U-Net none of whose weights is zero."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        found = UNet(UNetConfig(widths=(8, 16, 16), embedding=16, extra=4))
        for parameter in found.parameters():
            parameter.data.add_(0.05 * torch.randn(parameter.shape))
    return found.eval().requires_grad_(False)


def inputs(num=2, seed=0, labels=True, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    x, z = torch.randn(num, 1, 12, 12, generator=generator), torch.randn(num, 4, generator=generator)
    found = (x, torch.rand(num, generator=generator), torch.arange(num) if labels else None, z)
    return [None if one is None else one.to(device) for one in found]


@pytest.fixture
def recorded(monkeypatch):
    """A CPU that records: a replay reads and writes the same memory every time, as a graph's does."""
    made = []

    def record(forward, given):
        kept = [None if one is None else one.clone() for one in given]
        output = torch.full_like(forward(*kept), torch.nan)
        made.append(output)
        again = WeakMethod(forward)  # a graph keeps no network alive
        return graphs.Recorded(kept, output, lambda: output.copy_(again()(*kept)))

    able = graphs.possible
    monkeypatch.setattr(
        graphs, "possible", lambda net, x: graphs.enabled and not (net.training or torch.is_grad_enabled())
    )
    monkeypatch.setattr(graphs, "record", record)
    assert able(network(), torch.zeros(1)) is False, "nothing is recorded on a real CPU"
    return made


@torch.no_grad()
def test_a_replay_says_what_the_network_says(recorded):
    net = network()
    for turn in range(graphs.EAGER + 4):
        given = inputs(seed=turn)
        torch.testing.assert_close(net(*given), net._pass(*given))
        assert len(recorded) == (turn + 2 > graphs.EAGER + 1)
    first, second = net(*inputs(seed=50)), net(*inputs(seed=51))
    torch.testing.assert_close(first, net._pass(*inputs(seed=50)))
    assert not torch.equal(first, second), "what was returned is not written over"


@torch.no_grad()
def test_every_shape_is_recorded_once_and_the_latest_used_are_kept(recorded, monkeypatch):
    monkeypatch.setattr(graphs, "MAX_GRAPHS", 2)
    net = network()

    def often(**how):
        for _ in range(graphs.EAGER + 2):
            out = net(*inputs(**how))
        torch.testing.assert_close(out, net._pass(*inputs(**how)))
        return len(recorded)

    assert [often(num=2), often(num=3), often(num=2), often(num=2, labels=False)] == [1, 2, 2, 3]
    assert often(num=2) == 3, "it was used lately"
    assert often(num=3) == 4, "it had to make room"


@torch.no_grad()
def test_weights_may_change_in_place_and_are_looked_for_when_they_moved(recorded):
    net, given = network(), inputs()
    for _ in range(graphs.EAGER + 1):
        before = net(*given)
    net.conv_out.weight.mul_(2)
    assert not torch.allclose(net(*given), before) and len(recorded) == 1
    net.conv_out.weight.data = net.conv_out.weight.data * 0.5
    for _ in range(graphs.EAGER + 1):
        after = net(*given)
    torch.testing.assert_close(after, before)
    assert len(recorded) == 2


def test_gradients_training_and_a_switch_keep_the_network_as_it_is(recorded, monkeypatch):
    net, given = network(), inputs()
    given[0].requires_grad_()
    for _ in range(graphs.EAGER + 2):
        assert net(*given).requires_grad
    with torch.no_grad():
        for _ in range(graphs.EAGER + 2):
            net.train()(*given)
        monkeypatch.setattr(graphs, "enabled", False)
        for _ in range(graphs.EAGER + 2):
            net.eval()(*given)
    assert recorded == []


@torch.no_grad()
def test_what_cannot_be_recorded_runs_as_it_is(recorded, monkeypatch, caplog):
    tried = []

    def fails(forward, given):
        tried.append(given)
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(graphs, "record", fails)
    net, given = network(), inputs()
    for _ in range(graphs.EAGER + 3):
        torch.testing.assert_close(net(*given), net._pass(*given))
    assert len(tried) == 1 and len(caplog.records) == 1


@torch.no_grad()
def test_a_network_with_recorded_passes_can_be_copied_stored_and_forgotten(recorded):
    net, given = network(), inputs()
    for _ in range(graphs.EAGER + 1):
        out = net(*given)
    twin = copy.deepcopy(net)
    torch.testing.assert_close(twin(*given), out)
    assert set(twin.state_dict()) == set(net.state_dict()) and net in graphs._ALL
    del net, twin
    gc.collect()
    assert len(graphs._ALL) == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("labels", [True, False])
@torch.no_grad()
def test_a_real_graph_says_what_the_network_says(labels):
    net = network().to("cuda")
    for turn in range(graphs.EAGER + 4):
        given = inputs(seed=turn, labels=labels, device="cuda")
        torch.testing.assert_close(net(*given), net._pass(*given))
    (kept,) = graphs._ALL[net].kept.values()
    assert kept is not None
