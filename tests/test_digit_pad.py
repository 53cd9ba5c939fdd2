"""The pad that sections share: what its texts become, what masks are taken, what is refused."""

import base64
import io
import re

import pytest
import torch
from PIL import Image, ImageDraw

from playground import data, figures
from playground.tabs import digit_pad
from playground.validation import InvalidInput


def uri(image, kind="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return figures.data_uri(buffer.getvalue(), f"image/{kind.lower()}")


def drawn():
    sheet = Image.new("L", (224, 224), 255)
    ImageDraw.Draw(sheet).line([(60, 40), (150, 40), (90, 190)], fill=0, width=17)
    return sheet


def test_a_test_digit_is_the_very_one():
    images = data.load("mnist", "test").images
    for index in (0, 17, 9_999):
        assert torch.equal(digit_pad.read(f"test:{index}"), data.to_float(images[index][None]))


def test_examples_show_their_class():
    labels = data.load("mnist", "test").labels
    assert [int(labels[int(digit_pad.example(d).partition(":")[2])]) for d in range(10)] == list(range(10))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_drawing_becomes_a_digit_on_grey_levels(kind):
    x = digit_pad.read(uri(drawn(), kind))
    assert x.shape == (1, 1, 28, 28) and x[0, 0, 0, 0] == -1 and x.max() > 0.9  # ink is white
    assert torch.equal(x, data.to_float(data.to_uint8(x)))


BAD = [
    None, "", "test:", "test:10000", "test:-1", "test:1e3", "test:٣", "test:0000000001", 5, True, [], {}, "x",
    "data:image/png;base64,AAAA", uri(Image.new("L", (50, 50), 7)), uri(Image.new("L", (4, 4))),
    uri(Image.new("L", (2100, 2000))), "data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode(),
]  # fmt: skip


@pytest.mark.parametrize("value", BAD, ids=lambda v: repr(v)[:24])
def test_what_is_no_digit_gets_a_sentence_in_both_languages(value):
    with pytest.raises(InvalidInput) as caught:
        digit_pad.read(value)
    english, chinese = (caught.value.sentence(code) for code in ("en", "zh"))
    assert 10 < len(english) < 300 and re.search("[一-鿿]", chinese) and not re.search("[一-鿿]", english)


def test_masks_of_halves_erase_half():
    masks = {name: digit_pad.read_mask(name) for name in digit_pad.HALVES}
    assert all(mask.shape == (1, 1, 28, 28) and mask.sum() == 392 for mask in masks.values())
    assert torch.equal(masks["lower"] + masks["upper"], torch.ones(1, 1, 28, 28))
    assert masks["lower"][0, 0, 0].sum() == 28 and masks["right"][0, 0, :, 0].sum() == 28


def test_a_mask_of_characters_is_read_row_by_row():
    mask = digit_pad.read_mask("0" + "1" * 783)
    assert mask[0, 0, 0, 0] == 0 and mask.sum() == 783
    assert torch.equal(digit_pad.read_mask(digit_pad.half("left")), digit_pad.read_mask("left"))


@pytest.mark.parametrize(
    "value, said",
    [
        ("1" * 784, "Nothing"), ("0" * 784, "whole"), ("1" * 783, "784"), ("2" * 784, "784"), ("", "784"),
        (None, "784"), (["lower"], "784"), (7, "784"), ("LOWER", "784"), ("0" * 10**6, "784"),
    ],
    ids=lambda v: repr(v)[:16],
)  # fmt: skip
def test_masks_that_are_none_get_a_sentence(value, said):
    with pytest.raises(InvalidInput, match=said) as caught:
        digit_pad.read_mask(value)
    assert len(str(caught.value)) < 300 and not caught.value.sentence("zh").isascii()


def test_the_page_of_a_pad_is_small_and_offers_ten_classes():
    skeleton = digit_pad._pad_skeleton(live=True)
    assert skeleton.count("data-digit=") == 10 and 'data-live="1"' in skeleton
    assert len(skeleton) < 40_000
    assert digit_pad._eraser_skeleton().count("data-mask=") == len(digit_pad.HALVES) + 1
