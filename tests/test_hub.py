"""Published models: listed apart, downloaded whole or not at all, one sentence where there is no network."""

import json
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
import torch
from app_helpers import awaited
from gradio.state_holder import SessionState
from gradio.utils import get_upload_folder
from PIL import Image

from playground import cli, figures, hub, registry, seeding, validation
from playground.models._translation_networks import ResnetConfig, ResnetGenerator
from playground.spec import Published
from playground.tabs import about, sample, translate_published
from playground.weights import WeightsError

NAMES = registry.published()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and nothing loaded before or after."""
    monkeypatch.setenv("PLAYGROUND_CACHE", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)  # whoever runs the tests may have forbidden the Hub
    registry.unload()
    yield tmp_path
    registry.unload()


def save_pipeline(where, size):
    """A small pipeline as diffusers saves one, by the class that published ones are read with."""
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    with seeding.seeded(0):
        unet = UNet2DModel(
            sample_size=size, block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=4,
            down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, add_attention=False,
        )  # fmt: skip
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(where)
    return unet


def arrive(monkeypatch, spec):
    """Let the download of a model bring a small pipeline, with the files it is known by."""
    source = spec.published

    def bring(given, name, where):
        assert given is source
        save_pipeline(where, spec.config.image_size)
        (where / name).write_bytes((where / name).read_bytes() if (where / name).exists() else b"{}")

    monkeypatch.setattr(hub, "_from_hub", bring)


def test_published_models_stand_apart():
    assert NAMES and not set(NAMES) & set(registry.names())
    for name in NAMES:
        found = registry.spec(name).published
        assert found.num_bytes > 1e6 and found.licence and found.page.startswith("https://") and found.files
        assert len(found.revision) == 40 if found.repo else found.url.startswith("https://")
    with pytest.raises(validation.InvalidInput):
        validation.model(NAMES[0])


@pytest.mark.parametrize("name", registry.published("Samples"))
def test_a_saved_pipeline_is_read_and_drawn_from(name, cache, monkeypatch):
    spec = registry.spec(name)
    arrive(monkeypatch, spec)
    assert not hub.here(spec)
    model = registry.load(name)
    assert hub.here(spec) and registry.load(name) is model
    generator = torch.Generator().manual_seed(0)
    steps = list(model.sample(2, generator=generator, num_steps=3))
    assert [step.step for step in steps] == [1, 2, 3] and steps[-1].nfe == 3
    assert steps[-1].x.shape == (2, 3, spec.config.image_size, spec.config.image_size)
    assert steps[-1].x.abs().max() <= 1


def test_the_sampler_is_that_of_diffusers(cache, tmp_path):
    from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline

    spec = registry.spec("ddpm_cifar10")
    save_pipeline(tmp_path / "saved", spec.config.image_size)
    model = spec.build()
    model.take_over(tmp_path / "saved")
    pipeline = DDPMPipeline.from_pretrained(tmp_path / "saved")
    trailing = DDIMScheduler.from_config(pipeline.scheduler.config, timestep_spacing="trailing")
    theirs = DDIMPipeline(pipeline.unet, trailing)
    theirs.set_progress_bar_config(disable=True)
    x = theirs(2, torch.Generator().manual_seed(3), num_inference_steps=4, output_type="np").images
    *_, ours = model.sample(2, generator=torch.Generator().manual_seed(3), num_steps=4)
    assert torch.allclose((ours.x + 1) / 2, torch.from_numpy(x).permute(0, 3, 1, 2), atol=1e-4)


class Knows(torch.nn.Module):
    """The noise in any x_t of the one picture there is, and when it was asked."""

    def __init__(self, x0, alphas_cumprod):
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.x0, self.a, self.asked = x0, alphas_cumprod, []

    def forward(self, xt, t):
        eps = (xt - self.a[t].sqrt() * self.x0) / (1 - self.a[t]).sqrt()
        self.asked.append((t, eps))
        return SimpleNamespace(sample=eps)


@pytest.mark.parametrize("num_steps", [1, 3, 61, 334])
def test_a_published_model_starts_from_noise_and_stays_on_its_grid(num_steps):
    from diffusers import DDPMScheduler

    model, scheduler = registry.spec("ddpm_cifar10").build(), DDPMScheduler()
    model.schedule = dict(scheduler.config)
    model.denoiser = knows = Knows(torch.full((1, 3, 32, 32), 0.5), scheduler.alphas_cumprod)
    *_, last = model.sample(1, generator=torch.Generator().manual_seed(0), num_steps=num_steps)
    times, noises = zip(*knows.asked, strict=True)
    assert times[0] == 999 and len(times) == num_steps == last.step
    assert all(torch.allclose(eps, noises[0], atol=1e-2) for eps in noises)
    assert torch.allclose(last.x, knows.x0, atol=1e-3)


def test_without_a_network_one_sentence(cache, monkeypatch, capsys):
    def nothing(*_):
        raise ConnectionError("nobody answers\nsecond line")

    monkeypatch.setattr(hub, "_from_hub", nothing)
    with pytest.raises(WeightsError, match="could not be downloaded from .*nobody answers") as caught:
        registry.load("ddpm_cifar10")
    assert "\n" not in str(caught.value)
    assert cli.run(["sample", "ddpm_cifar10", "-o", str(cache / "x.png")]) == 2
    assert "could not be downloaded" in capsys.readouterr().err and not (cache / "x.png").exists()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE"):
        registry.load("ddpm_cifar10")


def test_damaged_files_are_refused_in_one_sentence(cache, monkeypatch):
    spec = registry.spec("ddpm_cifar10")
    hub.folder(spec).mkdir(parents=True)
    for name in spec.published.files:
        (hub.folder(spec) / name).write_bytes(b"garbage")
    with pytest.raises(WeightsError, match="cannot be read .*delete"):
        registry.load(spec.name)


def test_one_download_however_many_ask_and_leaving_does_not_end_it(cache, monkeypatch):
    spec = registry.spec("ddpm_cifar10")
    go, calls = threading.Event(), []

    def slow(source, name, where):
        calls.append(name)
        (where / f".{name}.partial").write_bytes(b"x" * 1000)
        go.wait(20)
        (where / f".{name}.partial").rename(where / name)

    monkeypatch.setattr(hub, "_from_hub", slow)
    first, second = hub.fetch(spec), hub.fetch(spec)
    assert 0 <= next(first) < 1 and 0 <= next(second) < 1
    first.close()
    go.set()
    assert all(0 <= share <= 1 for share in second)
    assert calls == list(spec.published.files) and hub.here(spec)


def test_a_file_of_the_web_arrives_whole_or_not_at_all(tmp_path):
    origin, here = tmp_path / "origin", tmp_path / "here"
    origin.mkdir()
    here.mkdir()
    (origin / "goal").write_bytes(b"PK" + b"weights" * 100)
    source = Published("https://example.org", "BSD", 700, ("goal",), url=f"{origin.as_uri()}/")
    hub._from_web(source, "goal", here)
    assert [path.name for path in here.iterdir()] == ["goal"]
    assert (here / "goal").read_bytes() == (origin / "goal").read_bytes()
    (here / "goal").unlink()
    with pytest.raises(OSError, match="far larger"):
        hub._from_web(Published("https://example.org", "BSD", 300, ("goal",), url=source.url), "goal", here)
    (origin / "goal").write_bytes(b"<html>Please sign in")
    with pytest.raises(OSError, match="no weights"):
        hub._from_web(source, "goal", here)
    assert not list(here.iterdir())


def test_a_connection_that_breaks_off_leaves_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\nweights")

        threading.Thread(target=answer, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(OSError, match="broke off after 7 of 700 bytes"):
            hub._from_web(Published("https://example.org", "BSD", 700, ("goal",), url=url), "goal", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", registry.published("Translates"))
def test_published_generators_translate_both_ways(name, cache, monkeypatch):
    spec = registry.spec(name)
    networks = bring_generators(monkeypatch, spec)
    model, x = registry.load(name), torch.rand(1, 3, 32, 32) * 2 - 1
    for direction, file in zip(("ab", "ba"), spec.published.files, strict=True):
        assert torch.equal(model.translate(x, direction), networks[file](x))


def bring_generators(monkeypatch, spec):
    """Let a download bring two small generators; they are returned, by the names of their files."""
    networks = {file: ResnetGenerator(ResnetConfig(3, 3, 4, 2)) for file in spec.published.files}

    def bring(source, file, where):
        time.sleep(0.1)  # long enough to be seen
        torch.save(official(networks[file]), where / file)

    monkeypatch.setattr(hub, "_from_web", bring)
    return networks


def test_the_translate_tab_says_what_it_will_download_and_waits(cache, monkeypatch):
    ways = translate_published.offered()
    assert {spec.name for spec, _ in ways.values()} == set(registry.published("Translates"))
    way, (spec, _) = next(iter(ways.items()))
    said = translate_published.explain(way)
    assert "91 MB" in said and "BSD" in said and spec.published.page in said
    photograph = figures.png(Image.new("RGB", (60, 40), "grey"))
    asked = SimpleNamespace(session_hash="published")
    bring_generators(monkeypatch, spec)
    panels = [json.loads(panel) for panel in translate_published.show(way, photograph, asked)]
    assert all(panel["busy"] for panel in panels[:-1]) and "91 MB" in panels[0]["status"]
    assert "learnt without pairs" in panels[-1]["body"]
    assert panels[-1]["body"].count("<img") == 5, "before and after, back, lost, left alone"


def test_the_translate_tab_gets_the_bytes_of_an_uploaded_file():
    with gr.Blocks() as page:
        translate_published.build()
    (press,) = (fn for fn in page.fns.values() if fn.name == "show")
    cache = Path(get_upload_folder())
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / "photograph.png"
    path.write_bytes(b"a picture")
    sent = {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}
    way = next(iter(translate_published.offered()))
    got = awaited(page.preprocess_data(press, [way, sent], SessionState(page)))
    path.unlink()
    assert got == [way, b"a picture"]


def test_the_translate_tab_needs_a_picture_and_a_network(cache, monkeypatch):
    way = next(iter(translate_published.offered()))
    asked = SimpleNamespace(session_hash="published")
    with pytest.raises(gr.Error, match="Choose a picture"):
        list(translate_published.show(way, None, asked))
    with pytest.raises(gr.Error, match="no JPEG|PNG, JPEG"):
        list(translate_published.show(way, b"text", asked))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(gr.Error, match="HF_HUB_OFFLINE"):
        list(translate_published.show(way, figures.png(Image.new("RGB", (9, 9))), asked))


def official(network):
    """The weights of a generator with two blocks under the names that published ones have."""
    places = {"conv_in": 1, "down1": 4, "down2": 7, "up1": 12, "up2": 15, "conv_out": 19}
    renamed = {}
    for key, value in network.state_dict().items():
        place, rest = key.split(".", 1)
        if place == "blocks":
            index, conv, kind = rest.split(".")
            renamed[f"model.{10 + int(index)}.conv_block.{1 if conv == 'conv1' else 5}.{kind}"] = value
        else:
            renamed[f"model.{places[place]}.{rest}"] = value
    return renamed


def test_the_sample_tab_says_what_it_will_download_and_waits(cache, monkeypatch):
    spec = registry.spec("ddpm_cifar10")
    assert (f"{spec.title} · 143 MB", spec.name) in sample.offered()
    said = about.text([spec])
    assert "143 MB" in said and "Apache-2.0" in said and spec.published.page in said
    arrive(monkeypatch, spec)
    panels = list(sample.run_sample(spec.name, 0, "any", 1, {"num_steps": 2}, "hub-session"))
    assert any("143 MB" in panel for panel in panels[:-1]) and "pg-done" in panels[-1]
    assert "143 MB" in about.text([spec])
