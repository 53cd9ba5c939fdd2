"""Pictures and figures: exact pixels, requests that survive a PNG, curves that stay light, hostile files."""

import io
import json
import re
import struct
import xml.etree.ElementTree as ElementTree
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from playground import figures, svg, trilemma
from playground.spec import Words


def test_pixels_round_to_the_nearest_level():
    x = torch.tensor([-1.0, -1 + 2 / 255, 0.0, 1.0, -7.0, 7.0, float("nan"), float("inf")]).view(1, 1, 1, 8)
    assert figures.to_pixels(x).ravel().tolist() == [0, 1, 128, 255, 0, 255, 128, 255]
    levels = torch.arange(256)
    again = figures.to_pixels((levels.float() / 127.5 - 1).view(1, 1, 16, 16))
    assert again.ravel().tolist() == levels.tolist()


def test_grid_places_every_picture():
    x = torch.stack([torch.full((1, 4, 4), value) for value in (-1.0, 0.0, 1.0)])
    pixels = np.asarray(figures.grid(x, columns=2, gap=1))
    assert pixels.shape == (9, 9)
    assert (pixels[:4, :4] == 0).all() and (pixels[:4, 5:] == 128).all() and (pixels[5:, :4] == 255).all()
    assert len(set(pixels[5:, 5:].ravel().tolist())) == 1  # the empty place


@pytest.mark.parametrize(
    "num, shape", [(1, (1, 1)), (2, (1, 2)), (5, (2, 3)), (16, (4, 4)), (17, (4, 5)), (64, (8, 8))]
)
def test_grid_is_as_square_as_it_can_be(num, shape):
    image = figures.grid(torch.zeros(num, 3, 2, 2), gap=0)
    assert (image.height // 2, image.width // 2) == shape and image.mode == "RGB"


def test_scale_keeps_hard_edges():
    x = torch.tensor([[-1.0, 1.0], [1.0, -1.0]]).view(1, 1, 2, 2)
    big = np.asarray(figures.grid(x, scale=3))
    assert big.shape == (6, 6) and set(big.ravel().tolist()) == {0, 255}


def test_sprite_and_gif_hold_every_frame():
    frames = [figures.grid(torch.full((4, 1, 4, 4), value)) for value in (-1.0, 0.2, 1.0)]
    sheet = figures.sprite(frames)
    assert sheet.size == (frames[0].width, 3 * frames[0].height)
    with Image.open(io.BytesIO(figures.gif(frames, seconds=1.2, scale=2))) as film:
        assert film.n_frames == 3 and film.size == (2 * frames[0].width, 2 * frames[0].height)
        film.seek(0)
        assert film.info["duration"] == 400
        film.seek(2)
        assert film.info["duration"] == 1500 and np.asarray(film.convert("L")).max() == 255


REQUEST = {"model": "ddpm", "seed": 7, "label": None, "controls": {"guidance": 1.5, "name": "é 漢字"}, "n": 4}


def test_request_survives_the_png():
    content = figures.png_with_request(figures.grid(torch.zeros(4, 1, 8, 8)), REQUEST)
    assert figures.read_request(content) == REQUEST
    with Image.open(io.BytesIO(content)) as image:  # other programs find it too
        assert json.loads(image.text["playground"]) == REQUEST


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


MAGIC = b"\x89PNG\r\n\x1a\n"
HEAD = b"playground\0\0\0\0\0"


@pytest.mark.parametrize(
    "content",
    [
        b"", b"hello", MAGIC, MAGIC + b"\xff" * 40, b"GIF89a" + b"\0" * 50, b"<svg/>",
        figures.png(Image.new("L", (4, 4))),
        MAGIC + chunk(b"iTXt", b"other\0\0\0\0\0{}"),
        MAGIC + chunk(b"iTXt", HEAD + b"not json"),
        MAGIC + chunk(b"iTXt", HEAD + b"[1, 2]"),
        MAGIC + chunk(b"iTXt", HEAD + b"\xff\xfe"),
        MAGIC + chunk(b"iTXt", HEAD + b"[" * 10_000),
        MAGIC + chunk(b"iTXt", HEAD + b'{"a": "' + b"x" * 20_000 + b'"}'),
        (MAGIC + chunk(b"iTXt", HEAD + b"{}"))[:-1] + b"\0",
        MAGIC + struct.pack(">I", 2**32 - 1) + b"iTXt" + HEAD,
    ],
)  # fmt: skip
def test_files_without_a_request_are_refused(content):
    with pytest.raises(figures.NoRequest):
        figures.read_request(content)


def test_data_uri_is_the_file():
    image = Image.new("L", (3, 3), 9)
    with Image.open(
        io.BytesIO(__import__("base64").b64decode(figures.png_data_uri(image).split(",")[1]))
    ) as again:
        assert list(again.getdata()) == [9] * 9


def test_decimate_keeps_the_shape_and_the_end():
    curve = [(step, float(step)) for step in range(10_000)]
    light = svg.decimate(curve)
    assert len(light) == svg.MAX_POINTS and light[-1] == curve[-1]
    assert all(abs(x - y) < 1e-6 for x, y in light)
    assert svg.decimate([(1, float("nan")), (2, 5.0), (3, float("inf"))]) == [(2.0, 5.0)]


def drawn(figure: str) -> ElementTree.Element:
    root = ElementTree.fromstring(figure)
    for path in re.findall(r'd="([^"]*)"', figure):
        assert "nan" not in path and "inf" not in path
    return root


@pytest.mark.parametrize(
    "history",
    [
        {}, {"loss": []}, {"loss": [(1, 0.5)]}, {"loss": [(1, 2.0), (2, 2.0)]}, {"loss": [(1, float("nan"))]},
        {"a<b&": [(1, 1e-9), (5, 1e9)]}, {"d": [(1, -3.0), (2, 4.0)], "g": [(1, 0.0), (2, 1e-3)]},
        {"loss": [(step, 1 / step) for step in range(1, 50_000)]},
    ],
)  # fmt: skip
def test_curves_are_drawn_whatever_the_values(history):
    figure = svg.curves_svg(history)
    root = drawn(figure)
    names = [text.text for text in root.iter("text") if text.get("class") == "pg-legend"]
    assert names == list(history) and len(figure) < 12_000


def test_curves_stay_inside_and_do_not_move_with_a_known_end():
    figure = svg.curves_svg({"loss": [(1, 1.0), (50, 0.5)]}, last_step=100, width=640)
    root = drawn(figure)
    (line,) = [p for p in root.iter("path") if p.get("class") == "pg-line"]
    xs = [float(pair.split()[0]) for pair in line.get("d")[1:].split("L")]
    assert 52 < xs[0] < xs[-1] < 360  # half of the way


def test_axes_say_what_they_are_and_their_words_stay_apart():
    said = Words("updates", "更新次数")
    figure = svg.curves_svg({"loss": [(1, 1.0), (400, 1e-4)]}, width=360, last_step=400, log=True, axis=said)
    ticks = [text for text in drawn(figure).iter("text") if text.get("class") == "pg-tick"]
    (name,) = [t for t in ticks if [span.text for span in t] == list(said)]
    (scale,) = [t for t in ticks if [span.text for span in t] == ["log", "对数"]]
    below = [t for t in ticks if t.get("y") == name.get("y") and t is not name]
    assert name.get("text-anchor") == "end" and 340 < float(name.get("x")) <= 360
    assert [t.text for t in below] == ["0", "200"], "400 would lie under the name"
    assert float(scale.get("y")) < min(float(t.get("y")) for t in ticks if t.text)


def test_a_legend_may_leave_the_values_to_others():
    history = {"confidence": [(0, 1.0), (1.5, 0.9)]}
    for values, expected in ((True, [" 0.9"]), (False, [])):
        figure = drawn(svg.curves_svg(history, values=values))
        assert [span.text for span in figure.iter("tspan") if span.text] == expected


QUALITY = trilemma.Axis(Words("Quality", "质量"), 100, 1, True)
SPEED = trilemma.Axis(Words("Speed", "速度"), 1, 1e4, True)
COVERAGE = trilemma.Axis(Words("Coverage", "覆盖"), 0, 1)


def test_axes_place_better_farther_out():
    assert QUALITY.place(1) == 1 and QUALITY.place(100) == 0 and QUALITY.place(10) == pytest.approx(0.5)
    assert SPEED.place(100) == pytest.approx(0.5) and SPEED.place(1e9) == 1 and SPEED.place(1e-9) == 0
    assert COVERAGE.place(0.25) == 0.25
    for axis in (QUALITY, SPEED):
        assert axis.place(None) is None and axis.place(0) is None and axis.place(float("nan")) is None


def test_trilemma_draws_what_is_known_and_says_it_in_words():
    marks = [
        trilemma.Mark("VAE", 0, (20.0, 1000.0, 0.5)), trilemma.Mark("<DCGAN>", 1, (None, 500.0, None)),
        trilemma.Mark("None", 2, (None,) * 3),
    ]  # fmt: skip
    root = drawn(trilemma.trilemma_svg((QUALITY, SPEED, COVERAGE), marks))
    groups = [g for g in root.iter("g") if g.get("class") == "pg-mark"]
    assert [len(list(g.iter("circle"))) for g in groups] == [3, 1, 0]
    assert [len(list(g.iter("path"))) for g in groups] == [1, 0, 0]
    assert "VAE, <DCGAN>" in root.get("aria-label") and root.get("role") == "img"
    assert {span.get("lang") for span in root.iter("tspan")} == {"en", "zh"}


def test_a_value_that_does_not_compare_is_hollow_and_says_why():
    marks = [
        trilemma.Mark("VAE", 0, (20.0, 9.0, 0.5)),
        trilemma.Mark("DDPM", 1, (2.0, 8.0, 0.9), ("N = 500", "", "")),
    ]
    root = drawn(trilemma.trilemma_svg((QUALITY, SPEED, COVERAGE), marks))
    same, apart = [g for g in root.iter("g") if g.get("class") == "pg-mark"]
    assert [c.get("class") for c in same.iter("circle")] == [None] * 3
    assert [c.get("class") for c in apart.iter("circle")] == ["pg-hollow", None, None]
    notes = [t for t in root.iter("text") if "pg-apart" in t.get("class")]
    assert [t.text for t in notes] == ["N = 500"] and not list(same.iter("text"))
    assert apart.find("path").get("stroke-dasharray") and not same.find("path").get("stroke-dasharray")
    key = [t for t in root.iter("text") if t.get("class") == "pg-legend"]
    assert [t.text for t in key] == ["VAE", "DDPM"], "a figure that is taken away says who is who"


def test_the_trilemmas_words_lie_on_top_inside_and_off_the_axes():
    speed = trilemma.Axis(Words("Speed", "速度"), 1, 1e4, True, ((1e3, "1000/s"), (1e4, "10000/s")))
    coverage = trilemma.Axis(Words("Coverage", "覆盖"), 0, 1, False, ((0.5, "50%"), (1.0, "100%")))
    titles = ["Conditional VAE", "A title too long for two columns", "DDPM"]
    marks = [trilemma.Mark(t, i, (1.0, 1e4, 1.0), ("", "", "N = 500")) for i, t in enumerate(titles)]
    root = drawn(trilemma.trilemma_svg((QUALITY, speed, coverage), marks))
    _, _, width, height = map(float, root.get("viewBox").split())
    groups = [part.get("class") for part in root if part.tag == "g"]
    assert groups == ["pg-mark"] * 3 + ["pg-said"], "what is said is drawn after every outline"
    for text in root.iter("text"):
        said, x, y = text.text or text[0].text, float(text.get("x")), float(text.get("y"))
        room = {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor", "start")]
        length = 7.5 * len(said)
        assert x - room * length >= 0 and x + (1 - room) * length <= width, said
        assert 12 < y < height - 4, said
    lines = [float(t.get("y")) for t in root.iter("text") if t.get("class") == "pg-legend"]
    assert lines == sorted(set(lines)), "a title too long for its column has a line of its own"
