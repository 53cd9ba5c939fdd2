"""The gate for pictures from outside: what passes comes out right, what does not gets one sentence."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from playground import data, locale, uploads
from playground.validation import InvalidInput


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def scene(mode="RGB", size=(40, 30)):
    ramp = np.linspace(0, 255, size[0] * size[1]).reshape(size[1], size[0]).astype(np.uint8)
    return Image.fromarray(ramp).convert(mode)


def header(width, height):
    """A PNG of a few bytes whose header asks for that many pixels."""
    body = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", body), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    chunks = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_formats_and_modes_look_the_same(kind, mode):
    found = uploads.rgb(encoded(scene(mode), kind))
    assert found.shape == (30, 40, 3) and found.dtype == np.uint8
    assert np.abs(found.astype(int)[:, :, 0] - np.asarray(scene("L")).astype(int)).max() <= 12


@pytest.mark.parametrize("mode", ["P", "1", "LA", "RGBA"])
def test_png_modes(mode):
    assert uploads.rgb(encoded(scene("L").convert(mode))).shape == (30, 40, 3)


def test_cmyk_jpeg_keeps_its_colours():
    found = uploads.rgb(encoded(scene("RGB").convert("CMYK"), "JPEG"))
    assert found[-1, -1].min() > 200 and found[0, 0].max() < 60


def test_sixteen_bits_are_scaled_and_not_cut_off():
    deep = np.linspace(0, 65535, 900).reshape(30, 30).astype(np.uint16)
    found = uploads.rgb(encoded(Image.fromarray(deep)))
    assert np.abs(found[:, :, 0].astype(float) - deep / 257).max() <= 0.5 + 1e-9
    clear = uploads.rgb(encoded(Image.fromarray(deep // 2 + 9000), transparency=9000))
    assert clear[0, 0].tolist() == [255] * 3 and clear[0, 5].max() < 60


def test_alpha_lies_on_white_and_hidden_colour_stays_hidden():
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[..., 0] = 200  # red everywhere, but seen on the left only
    pixels[:, :10, 3] = 255
    found = uploads.rgb(encoded(Image.fromarray(pixels)))
    assert (found[:, :10] == [200, 0, 0]).all() and (found[:, 10:] == 255).all()


@pytest.mark.parametrize("ink", [0, 255])
def test_strokes_on_a_transparent_canvas_are_ink_whatever_their_colour(ink):
    pixels = np.full((40, 40, 4), ink, np.uint8)
    pixels[..., 3] = 0
    pixels[8:32, 18:22, 3] = 255
    x = uploads.digit(uploads.rgb(encoded(Image.fromarray(pixels))))
    assert x[0, 0, 14, 14] > 0.9 and x[0, 0, 14, 2] == -1


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "I;16"])
def test_large_pictures_are_shrunk_before_anything_else(mode):
    image = scene("L", (2000, 1500))
    image = (
        Image.fromarray(np.asarray(image).astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    )
    found = uploads.rgb(encoded(image))
    assert found.shape == (768, 1024, 3) and found.nbytes < 3 * 2**20
    assert abs(found.mean() - 127.5) < 3 and found[0, 0, 0] < 3 and found[-1, -1, 0] > 252


def test_exif_turns_the_picture_upright():
    image, exif = scene(), Image.Exif()
    exif[0x0112] = 6  # a telephone held upright
    found = uploads.rgb(encoded(image, "JPEG", exif=exif))
    assert found.shape == (40, 30, 3)
    assert found[0, -1].max() < 60 and found[-1, 0].min() > 200


def test_the_first_frame_of_an_animation():
    first, second = Image.new("RGB", (20, 20), "red"), Image.new("RGB", (20, 20), "blue")
    moving = encoded(first, "WEBP", save_all=True, append_images=[second], duration=50, lossless=True)
    assert (uploads.rgb(moving) == [255, 0, 0]).all()


REFUSED = {
    "none": None, "number": 3, "text": "a picture", "address": "https://example.org/7.png",
    "path": "../../etc/passwd", "base64": "data:image/png;base64,%%%", "empty": b"", "words": b"hello there",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>', "xml": b'\xef\xbb\xbf<?xml version="1.0"?><svg/>',
    "gif": encoded(Image.new("P", (20, 20)), "GIF"), "bmp": encoded(Image.new("RGB", (20, 20)), "BMP"),
    "tiff": encoded(Image.new("F", (20, 20)), "TIFF"), "eps": b"%!PS-Adobe-3.0 EPSF-3.0",
    "cut": encoded(scene())[:-60], "torn": encoded(scene())[:25], "tiny": encoded(Image.new("RGB", (2, 9))),
    "bomb": header(13_000, 13_000), "bigger bomb": header(2**31 - 1, 2**31 - 1), "long": header(4_000_001, 9),
    "scans": encoded(scene(), "JPEG") + b"\xff\xda" * 300,
    "heavy": b"\x89PNG\r\n\x1a\n" + bytes(uploads.MAX_BYTES),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("as_address", [False, True])
def test_each_refusal_is_one_sentence(name, as_address):
    value = REFUSED[name]
    if as_address:
        if not isinstance(value, bytes):
            pytest.skip("no file")
        value = "data:application/octet-stream;base64," + base64.b64encode(value).decode()
    with pytest.raises(InvalidInput) as caught:
        uploads.rgb(value)
    for language in locale.LANGUAGES:
        said = caught.value.sentence(language)
        assert 5 < len(said) < 220 and said.isprintable() and said.count(".") + said.count("。") >= 1


def test_the_sentences_differ():
    said = set()
    for name in ("text", "svg", "gif", "tiff", "cut", "tiny", "bomb", "heavy", "words"):
        with pytest.raises(InvalidInput) as caught:
            uploads.rgb(REFUSED[name])
        said.add(str(caught.value))
    assert len(said) == 9


@pytest.mark.parametrize("byte", range(8, 120, 7))
def test_a_flipped_byte_is_a_picture_or_a_sentence(byte):
    content = bytearray(encoded(scene()))
    content[byte] ^= 0xFF
    try:
        assert uploads.rgb(bytes(content)).ndim == 3
    except InvalidInput as error:
        assert len(str(error)) < 220


def test_mnist_survives_the_way_of_a_photograph():
    """Digits enlarged, inverted, on grey paper and off the middle come back, give or take one pixel."""
    originals = data.load("mnist", "test").images[:20]
    gaps = []
    for original in originals:
        big = Image.fromarray(original[0].numpy()).resize((280, 280), Image.Resampling.BICUBIC)
        sheet = np.full((420, 400), 230.0)
        sheet[100:380, 20:300] -= np.asarray(big, float) * 0.8
        photo = np.repeat(sheet.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
        found, wanted = uploads.digit(photo)[0, 0], data.to_float(original[None])[0, 0]
        shifted = [found.roll((down, right), (0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        gaps.append(min((x - wanted).abs().mean().item() for x in shifted))
    assert sum(gaps) / len(gaps) < 0.08, gaps


@pytest.mark.parametrize("paper, ink", [(0, 255), (255, 0), (230, 60), (40, 200)])
def test_digits_are_white_on_black_in_the_middle(paper, ink):
    pixels = np.full((60, 90, 3), paper, np.uint8)
    pixels[5:45, 70:80] = ink
    x = uploads.digit(pixels)
    assert x.shape == (1, 1, 28, 28) and x.min() == -1 and x.max() > 0.95
    mass = (x[0, 0] + 1) / (x + 1).sum()
    for axis in (0, 1):
        assert abs((mass.sum(1 - axis) * torch.arange(28)).sum() - 13.5) <= 0.5 + 1e-3
    rows = (x[0, 0] > 0).any(1).sum()
    assert 19 <= rows <= 20


@pytest.mark.parametrize("level", [0, 100, 255])
def test_an_even_picture_shows_nothing(level):
    with pytest.raises(InvalidInput, match="one even colour"):
        uploads.digit(np.full((30, 30, 3), level, np.uint8))


@pytest.mark.parametrize("channels", [1, 3])
def test_square_is_the_middle_of_the_picture(channels):
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40, 0] = 255
    x = uploads.square(pixels, 16, channels)
    assert x.shape == (1, channels, 16, 16)
    expected = 1.0 if channels == 3 else 2 * 0.299 - 1
    torch.testing.assert_close(x[:, 0], torch.full((1, 16, 16), expected), atol=0.01, rtol=0)
