"""A control that is left out is at its default, whoever draws: what `Samples.sample` promises of them all."""

import ast
import inspect
import sys
import textwrap
from itertools import islice

import pytest
import torch
from contract_helpers import fresh, having, labels_for, rng

from playground import data, diagnosis, previews, registry
from playground.spec import SampleStep

FEW = 8  # steps of a drawing that are compared


def own_defaults(name):
    """(key, default, where) of every parameter and ``controls.get`` in a model's code named as a control."""
    keys, seen = registry.spec(name).defaults(), set()
    for part in fresh(name).modules():
        for base in type(part).__mro__:
            if not base.__module__.startswith("playground.models") or (type(part), base) in seen:
                continue
            seen.add((type(part), base))
            for function in vars(base).values():
                if inspect.isfunction(function) and draws(function, type(part)):
                    where = f"{type(part).__name__}: {function.__qualname__}"
                    for key, parameter in inspect.signature(function).parameters.items():
                        if key in keys and parameter.default is not parameter.empty:
                            yield key, parameter.default, where
                    for key, default in got(function, part):
                        yield key, default, where


def draws(function, kind):
    """Whether a class draws with a function, its own or of a class it builds on, unless another replaces it.

    What draws goes step by step or takes controls; a single look of the network is its caller's to steer.
    """
    controls = inspect.signature(function).parameters.get("controls")
    if not (inspect.isgeneratorfunction(function) or controls):
        return False
    instead = getattr(kind, function.__name__, function)
    return instead is function or f"super().{function.__name__}(" in inspect.getsource(instead)


def got(function, part):
    """(key, default) of every ``controls.get("key", default)`` in a function of a module."""
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "controls.get" and len(node.args) == 2:
            key, default = (compile(ast.Expression(arg), "default", "eval") for arg in node.args)
            known = vars(sys.modules[function.__module__])
            yield eval(key), eval(default, known, {"self": part})


@having("Samples")
def test_what_a_models_code_takes_for_a_default_is_its_controls_default(name):
    expected = registry.spec(name).defaults()
    for key, default, where in own_defaults(name):
        assert default == expected[key], f"{where} draws with {key} = {default}"


@having("Samples")
def test_without_a_word_a_model_draws_as_at_its_defaults(name):
    spec, drawn = registry.spec(name), []
    for controls in ({}, spec.defaults()):
        moments = fresh(name).sample(1, labels=labels_for(name, 1), generator=rng(), **controls)
        with torch.no_grad():
            drawn.append(list(islice(moments, FEW)))
    for left_out, given in zip(*drawn, strict=True):
        assert left_out.num_steps == given.num_steps and torch.equal(left_out.x, given.x)


@pytest.mark.parametrize("name", [n for n in registry.names("Samples") if registry.spec(n).controls])
def test_what_is_shown_of_a_training_is_drawn_at_the_defaults_but_for_what_is_quicker(name, monkeypatch):
    spec, asked = registry.spec(name), []

    def sample(num, *, labels, generator, **controls):
        asked.append(controls)
        yield SampleStep(1, 1, torch.zeros(num, *data.load(spec.dataset, "test").images.shape[1:]), 1)

    model = registry.build(name)
    monkeypatch.setattr(model, "sample", sample)
    previews.draw(spec, model, spec.dataset, 0, torch.device("cpu"))
    if diagnosis.possible(spec, spec.dataset):
        run = diagnosis.Watched(spec, data.load(spec.dataset, "train"))
        run.model, run.ema = model, None
        run._diagnose()
    assert asked and all(controls == spec.defaults() | dict(spec.preview) for controls in asked)
