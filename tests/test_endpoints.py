"""The started app as a program sees it: every endpoint, every parameter, values nobody should send."""

import json
import urllib.error
import urllib.request

import pytest

from playground import locale, registry

HOSTILE = [
    "null", "true", "false", "NaN", "Infinity", "-Infinity", "-1", "1.5", "1e308", "18446744073709551616",
    "9" * 600, '""', '" "', '"12"', '"nan"', '"../../etc/passwd"', '"mnist\\u0000"', '"\\u001b[31m"',
    json.dumps("x" * 20_000), '"<script>"', '"{model}"', "[]", "[1, 2]", '["vae", "vae"]', "{}", '{"a": 1}',
    "[" * 40 + "]" * 40,
]  # fmt: skip
QUICK = [name for name in registry.names("Samples") if registry.spec(name).family in ("vae", "gan")][:2]
GOOD = {
    "row": 14, "column": 13, "depth": 3,
    "model": QUICK[0], "name": QUICK[0], "names": QUICK, "seed": 0, "label": "any", "n": 1, "controls": None,
    "dataset": "mnist", "num_steps": 1, "learning_rate": None, "batch_size": 1,
    "switches": None,
    "seed_to": 1, "frames": 3, "path": "slerp", "spread": None, "start": None, "end": None,
    "experiment": "posterior", "fix": "beta", "share": 0.01,
    "pictures": ["test:0"], "picture": "test:1", "mask": "lower",
    "t": 5, "schedule": "linear", "colour": False,
    "sampler": None, "steps": 2, "guidance": None, "eta": None,
    "other": "test:2", "choices": None, "scale": 1.0,
    "task": "inpaint", "factor": 4, "sigma": 0.5, "strength": 0.1, "rounds": 1,
    "one": None, "few": None, "many": None, "direction": "ab",
    "prompt": "red apple", "style": "any", "negative": "",
}  # fmt: skip
OWN = {  # where an endpoint needs another value than the others
    ("likelihood", "name"): registry.names("HasLikelihood")[0],
    ("complete", "name"): next(n for n in registry.names("Completes") if registry.spec(n).levels == 2),
    ("flow", "name"): registry.names("Flows")[0],
    ("pixels", "model"): next(n for n in registry.names("PredictsPixels") if registry.spec(n).levels == 2),
    ("receptive_field", "model"): registry.names("PredictsPixels")[0],
    ("posterior", "name"): registry.names("HasPosterior")[0],
    ("denoise", "name"): registry.names("HasScore")[0],
    ("restore", "name"): registry.names("HasScore")[0],
    ("restore", "guidance"): 1.0,
    ("words", "name"): registry.names("FollowsWords")[0],
    ("words_between", "name"): registry.names("FollowsWords")[0],
    ("words_between", "other"): "green apple",
    ("words_between", "n"): 2,
    ("translate", "model"): registry.names("Translates")[0],
    ("translate", "picture"): "emoji:10",
    ("jumps", "t"): 2,
}


def good(endpoint, parameter):
    """A value that an endpoint takes for a parameter."""
    return OWN[endpoint, parameter] if (endpoint, parameter) in OWN else GOOD[parameter]


def send(url, body):
    """Status and answer of a request."""
    headers = {"content-type": "application/json"} if body is not None else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=120) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def call(url, name, values):
    """The last event of a call: ("complete", data) or ("error", message); values are JSON texts."""
    body = ('{"data": [' + ", ".join(values) + "]}").encode()
    status, answer = send(f"{url}/gradio_api/call/{name}", body)
    if status != 200:
        return str(status), answer
    status, stream = send(f"{url}/gradio_api/call/{name}/{json.loads(answer)['event_id']}", None)
    assert status == 200
    last = stream.strip().split("event: ")[-1]
    kind, _, content = last.partition("\ndata: ")
    content = json.loads(content)
    return kind, content["error"] if kind == "error" else content


@pytest.fixture(scope="module")
def endpoints(app_url):
    """The parameters of every endpoint, from the app's own description."""
    _, described = send(f"{app_url}/gradio_api/info", None)
    info = json.loads(described)
    assert not info["unnamed_endpoints"]
    return {
        name.strip("/"): [p["parameter_name"] for p in e["parameters"]]
        for name, e in info["named_endpoints"].items()
    }


def test_every_endpoint_answers_a_good_request(app_url, endpoints):
    for name, parameters in endpoints.items():
        kind, answer = call(app_url, name, [json.dumps(good(name, p)) for p in parameters])
        assert kind == "complete", (name, answer)


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_hostile_value_gets_a_sentence(app_url, endpoints, number):
    value, unexpected = HOSTILE[number], {locale.text("common.unexpected", code) for code in locale.LANGUAGES}
    for name, parameters in endpoints.items():
        if not parameters:
            continue
        place = number % len(parameters)
        values = [value if i == place else json.dumps(good(name, p)) for i, p in enumerate(parameters)]
        kind, answer = call(app_url, name, values)
        where = (name, parameters[place], value[:40], answer if kind != "complete" else kind)
        assert kind in ("complete", "error", "422"), where
        if kind == "error":
            assert isinstance(answer, str) and answer not in unexpected, where
            assert answer.isprintable() and 5 < len(answer) < 400 and "Traceback" not in answer, where


@pytest.mark.parametrize("values", [[], ["0"], ["0"] * 30])
def test_a_wrong_number_of_values_breaks_nothing(app_url, endpoints, values):
    for name in endpoints:
        call(app_url, name, values)
    test_every_endpoint_answers_a_good_request(app_url, endpoints)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data": 5}', b'{"data": [', b"\xff\xfe", b"null"])
def test_a_broken_body_is_refused_without_a_trace(app_url, endpoints, body):
    for name in endpoints:
        status, answer = send(f"{app_url}/gradio_api/call/{name}", body)
        assert 400 <= status < 500 and "Traceback" not in answer and 'File "' not in answer
