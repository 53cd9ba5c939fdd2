"""The Restore section: every task, its endpoint, what is kept, what is refused."""

import json
import math

import pytest
import torch
from app_helpers import asked, opened, refused, updates

from playground import data, judge, locale, mending, registry, restoring
from playground.tabs import common, diffuse_restore, diffuse_restore_panel, pieces

SCORE = registry.names("HasScore")[0]


@pytest.fixture(autouse=True)
def little_work(monkeypatch):
    monkeypatch.setattr(mending, "FLOW_STEPS", 3)
    monkeypatch.setattr(restoring, "BOUND_TIMES", 4)


BOXES = {"num": 2, "others": 2, "num_steps": 3, "guidance": 1.0, "factor": "4", "sigma": 0.5, "strength": 0.5,
         "rounds": 2}  # fmt: skip


def mended(task, picture="test:0", mask="lower", label="any", seed=0, **changes):
    boxes = (BOXES | changes).values()
    return updates(diffuse_restore.mend(asked(), SCORE, task, picture, mask, label, seed, *boxes))


def test_the_boxes_are_in_the_order_of_the_form():
    assert list(BOXES) == list(diffuse_restore.FOR)


@pytest.mark.parametrize("task", mending.TASKS)
def test_every_task_ends_with_pictures_and_numbers(task, untrained):
    found = mended(task)
    assert found[0]["busy"] and "pg-done" in found[-1]["status"] and len(found[-1]["note"]) > 100
    assert found[-1]["lanes"][0]["rows"]
    again = mended(task)[-1]
    assert again["lanes"][0]["rows"] == found[-1]["lanes"][0]["rows"] and again["note"] == found[-1]["note"]


def test_every_test_digit_is_scored_given_its_own_label(untrained, monkeypatch):
    told, note = [], locale.both("diffuse.note_given_label", label=7)
    for key in ("flow_likelihood", "bound"):
        plain = getattr(restoring, key)
        monkeypatch.setattr(
            restoring, key, lambda *a, plain=plain, **k: told.append(k["labels"]) or plain(*a, **k)
        )
    assert note in mended("likelihood", label="7", others=5)[-1]["note"]
    images = data.load("mnist", "test")
    own = images.labels[judge.some(len(images), 5)].tolist()
    assert [labels.tolist() for labels in told] == [[7, *own]] * 2
    assert note not in mended("likelihood", others=5)[-1]["note"] and told[2:] == [None, None]


def test_dequantised_and_discrete_likelihoods_share_no_column(untrained):
    note = mended("likelihood")[-1]["note"]
    ways = [locale.both(f"diffuse.by_{way}") for way in ("flow", "bound")]
    found = [[way in table for way in ways] for table in note.split("<table>")[1:]]
    assert found == [[True, False], [False, True]]
    said = locale.both("diffuse.note_likelihood", num=2, times=4, steps=3)
    assert said in note and all("0.03" in phrase and "400" in phrase for phrase in said.split("</span>")[:2])


def test_noise_is_measured_in_full(untrained):
    assert mending.rmse(torch.full((1, 1, 2, 2), 3.0), torch.ones(1, 1, 2, 2)) == 2
    assert restore(task="denoise", sigma=0.5)["numbers"]["rmse_given"] == pytest.approx(0.5, rel=0.1)


def test_a_sketch_is_the_only_thing_given(untrained):
    note = mended("sdedit")[-1]["note"]
    assert "</b> in the sketch and" in note and "在草图中读到" in note and "in what is given" not in note
    assert "in what is given" in mended("denoise")[-1]["note"]


def test_costs_are_each_pictures(untrained):
    job = diffuse_restore.check(SCORE, "denoise", "test:0", "", "any", 0, BOXES)
    *_, found = mending.work(registry.load(SCORE), job)
    lane = json.loads(diffuse_restore_panel.done(job, found, 3.0))["lanes"][0]
    assert lane["facts"] == pieces.cost(found.nfe, 1.5), "of 2 draws in 3 seconds"


def restore(**changes):
    values = {"n": 2, "steps": 3, "rounds": 1} | changes
    return common.guarded(diffuse_restore.restore)(SCORE, request=asked(), **values)


@pytest.mark.parametrize("task", mending.TASKS)
def test_the_restore_endpoint_says_what_it_did(task, untrained):
    found = restore(task=task)
    json.dumps(found)
    assert found["nfe"] > 0 and opened(found["given"]).size == (28, 28)
    if task == "likelihood":
        assert found["numbers"]["num"] == 2 and found["numbers"]["bound"]["mean"] > 0
    elif task == "invert":
        assert [e["num_steps"] for e in found["numbers"]["errors"]] == [1, 3] and found["noise"]
    else:
        assert len(found["numbers"]["classes"]) == found["numbers"]["num"] == 2


def test_what_is_kept_is_kept(untrained):
    job = diffuse_restore.check(SCORE, "inpaint", "test:0", "left", "any", 0, BOXES)
    *_, done = mending.work(registry.load(SCORE), job)
    difference = (done.frames[-1] - job.x) * job.mask
    assert difference.abs().max() < 1e-5 and not torch.equal(done.frames[-1], job.x.expand(2, 1, 28, 28))
    assert (
        mending.given(job)[..., 14:].equal(job.x[..., 14:]) and mending.given(job)[..., :14].abs().max() == 0
    )


BAD_RESTORES = [
    {"task": "paint"}, {"task": None}, {"mask": "1" * 784}, {"mask": "0" * 784}, {"mask": "half"},
    {"mask": "01"}, {"picture": ""}, {"label": "11"}, {"seed": -1}, {"n": 0}, {"n": 10}, {"steps": 0},
    {"steps": 251}, {"guidance": -1}, {"rounds": 0}, {"rounds": 11}, {"task": "super", "factor": 3},
    {"task": "super", "factor": "x"}, {"task": "denoise", "sigma": 0}, {"task": "denoise", "sigma": math.inf},
    {"task": "sdedit", "strength": 0}, {"task": "sdedit", "strength": 1.5}, {"task": "likelihood", "n": 1},
    {"task": "likelihood", "n": 65}, {"task": "super", "factor": [4]},
]  # fmt: skip


@pytest.mark.parametrize("change", BAD_RESTORES, ids=str)
def test_bad_restorations_get_a_sentence(change, untrained):
    refused(lambda: restore(**change))


def test_a_mask_that_is_not_needed_is_overlooked(untrained):
    assert "pg-done" in mended("denoise", mask="1" * 784)[-1]["status"]


def test_sheets_hold_every_picture():
    x = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 1, 3, 3) / 5
    sheet = diffuse_restore_panel.sheet(x)
    assert sheet.shape == (1, 1, 7, 11)
    assert [sheet[0, 0, 4 * (i // 3), 4 * (i % 3)].item() for i in range(5)] == pytest.approx(
        [i / 5 for i in range(5)]
    )
    assert diffuse_restore_panel.sheet(x[:1]).shape == (1, 1, 3, 3)
