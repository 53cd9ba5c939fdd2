"""Latent diffusion: words to vectors, captions, attention that can be watched, what words do."""

import dataclasses
import random

import pytest
import torch

from playground import data
from playground.data import emoji
from playground.data import words as vocabulary
from playground.models import _emoji_captions as captions
from playground.models._text_encoder import TextConfig, TextEncoder, grams
from playground.models._word_unet import build_unet, maps
from playground.models.emoji_vae import SPECS as FIRST_STAGE
from playground.models.latent_diffusion import SOLVERS, SPECS
from playground.spec import Batch

SPEC = SPECS[0]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def model():
    """Untrained, shaken so that nothing is silent."""
    built = SPEC.build()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.03 * torch.randn(parameter.shape, generator=rng(1)))
    return built.eval().requires_grad_(False)


def draw(model, prompts, seed=0, **more):
    more = {"num_steps": 2} | more
    *_, last = model.illustrate(prompts, generator=rng(seed), **more)
    return last


# Words


def test_words_are_split_plainly():
    assert vocabulary.split("São Tomé & Príncipe flag: N°1") == ["sao", "tome", "principe", "flag", "n", "1"]


def test_vectors_know_what_is_alike():
    cat, dog, flag = (vocabulary.vector(word) for word in ("cat", "dog", "flag"))
    assert cat.shape == (vocabulary.NUM_DIMS,) and abs(float(cat.norm()) - 1) < 0.02
    assert cat @ dog > 0.5 > cat @ flag and vocabulary.vector("qqxqq") is None


def test_every_word_has_letters_even_one_that_nobody_knows():
    rows = grams("zebra", 100)
    assert len(rows) == 1 + sum(7 - n + 1 for n in (3, 4, 5)) and all(0 <= row < 100 for row in rows)
    assert grams("zebra", 100) == rows != grams("zebro", 100)


def test_padding_does_not_change_what_a_text_means():
    encoder = TextEncoder(TextConfig()).eval()
    with torch.no_grad():
        alone, batch = encoder(["red cat"]), encoder(["red cat", "a much longer text of seven words", ""])
    assert batch.mask.sum(1).tolist() == [3, 8, 1] and alone.states.shape == (1, 3, 128)
    assert torch.allclose(alone.states[0], batch.states[0, :3], atol=1e-5)
    with torch.no_grad():
        swapped = encoder(["cat red"])
    assert not torch.allclose(alone.states[0, 0], swapped.states[0, 0], atol=1e-3), "order counts"


def test_letters_are_hidden_in_training_only_from_words_that_are_known():
    encoder = TextEncoder(TextConfig(hidden=1.0)).eval()
    with torch.no_grad():
        open_, hidden = encoder(["cat qqxqq"]).states, encoder(["cat qqxqq"], rng()).states
        only = encoder._embed(["qqxqq", "cat"], rng()) - encoder.meaning.bias
    assert not torch.allclose(open_, hidden)
    assert torch.allclose(only[1], encoder.meaning.weight @ vocabulary.vector("cat"), atol=1e-5)
    assert only[0].abs().max() > 1e-3


# Captions


def test_captions_name_the_thing_and_never_the_other_style():
    place = 1906 + 57
    entry = captions.entry_of(place)
    assert captions.plain(place) == f"{entry['name']}, Twemoji"
    said = {captions.vary(place, random.Random(seed)) for seed in range(200)}
    assert len(said) > 20 and not any("Noto" in text for text in said)
    assert any("Twemoji" not in text for text in said) and entry["name"] in {t.split(",")[0] for t in said}
    assert all("blue" in captions.vary(place, random.Random(seed), "blue") for seed in range(50))


def test_flags_are_said_both_ways():
    entry = next(e for e in emoji.entries() if e["name"] == "france flag")
    assert {"flag of france", "france flag", "france"} <= set(captions.wordings(entry))


# Attention


def test_watched_attention_is_diffusers_attention():
    from diffusers.models.attention_processor import AttnProcessor2_0

    torch.manual_seed(0)
    unet = build_unet(4, (16, 32), 1, 4, 24).eval()
    words, mask = torch.randn(2, 5, 24), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    given = {"encoder_hidden_states": words, "encoder_attention_mask": mask, "class_labels": words[:, 0]}
    z, t = torch.randn(2, 4, 8, 8), torch.tensor([10, 700])
    record: list[torch.Tensor] = []
    with torch.no_grad():
        ours = unet(z, t, **given).sample
        watched = unet(z, t, **given, cross_attention_kwargs={"record": record}).sample
        unet.set_attn_processor(AttnProcessor2_0())
        theirs = unet(z, t, **given).sample
    assert torch.allclose(ours, theirs, atol=1e-5) and torch.allclose(watched, theirs, atol=1e-5)
    assert {w.shape for w in record} == {(2, 64, 5), (2, 16, 5)}
    found = maps(record, 8)
    assert found.shape == (2, 5, 8, 8) and torch.allclose(found.sum(1), torch.ones(2, 8, 8), atol=1e-5)
    assert found[1, 3:].max() < 1e-6, "what is padded is not looked at"


# Drawing


def test_every_step_is_shown(model):
    moments = list(model.illustrate(["red cat", "dog"], generator=rng(), num_steps=3, guidance=2.0))
    assert [m.step for m in moments] == [1, 2, 3] and [m.nfe for m in moments] == [2, 4, 6]
    for moment in moments:
        assert moment.xt.shape == moment.x0_hat.shape == (2, 3, 64, 64)
        assert moment.attention.shape == (2, 3, 8, 8) and moment.x0_hat.abs().max() <= 1
    assert moments[0].attention[1, 2].max() < 1e-6, "the second prompt has one word"


def test_words_matter_and_at_guidance_zero_they_do_not(model):
    one, other = (draw(model, [p], guidance=3.0).x0_hat for p in ("red cat", "flag of france"))
    assert not torch.allclose(one, other, atol=1e-4)
    one, other = (draw(model, [p], guidance=0.0).x0_hat for p in ("red cat", "flag of france"))
    assert torch.allclose(one, other, atol=1e-5)


def test_samples_say_what_was_drawn_and_words_take_the_place_of_names(model):
    def drawn(**more):
        *_, last = model.sample(2, generator=rng(3), num_steps=2, **more)
        return last

    by_label = drawn(labels=torch.tensor([5, 1906 + 5]))
    name = captions.entry_of(5)["name"]
    assert by_label.captions == (f"{name}, Noto", f"{name}, Twemoji")
    told = drawn(prompt=" red cat ")
    assert told.captions == ("red cat",) * 2
    assert torch.equal(told.x, draw(model, ["red cat"] * 2, seed=3).x0_hat)
    assert drawn(prompt=" ").captions == drawn().captions != drawn(prompt="red cat").captions


def test_a_negative_prompt_equal_to_the_prompt_undoes_the_guidance(model):
    plain = draw(model, ["red cat"], guidance=1.0)
    undone = draw(model, ["red cat"], negative="red cat", guidance=7.0)
    assert plain.nfe == 2 and undone.nfe == 4
    assert torch.allclose(plain.x0_hat, undone.x0_hat, atol=1e-4)


def test_between_two_prompts_lie_their_ends(model):
    noise = torch.randn(1, *model.latent_shape, generator=rng(4))
    ends = [draw(model, [p], noise=noise).x0_hat for p in ("red cat", "house")]
    way = draw(
        model, ["red cat"] * 3, others=["house"] * 3, mix=torch.tensor([0.0, 0.5, 1.0]),
        noise=noise.expand(3, -1, -1, -1),
    )  # fmt: skip
    assert torch.allclose(way.x0_hat[:1], ends[0], atol=1e-4)
    assert torch.allclose(way.x0_hat[2:], ends[1], atol=1e-4)
    assert not torch.allclose(way.x0_hat[1:2], ends[0], atol=1e-4) and way.nfe == 6


@pytest.mark.parametrize("num_steps", [10, 30, 61])  # T is no multiple of 30; of 61 diffusers makes 62
@pytest.mark.parametrize("solver", SOLVERS)
def test_both_solvers_find_what_a_perfect_velocity_leads_to(model, solver, num_steps, monkeypatch):
    """With the velocity of one known z_0 every solver has to end there, and keeps the noise it began with."""
    z0, noises = torch.randn(1, *model.latent_shape, generator=rng(7)), []

    def perfect(zt, t, text, record=None):
        a = model.alphas_cumprod[t[0]]
        noises.append(eps := (zt - a.sqrt() * z0) / (1 - a).sqrt())
        record.append(torch.full((len(zt), 64, text.mask.shape[1]), 1 / text.mask.shape[1]))
        return a.sqrt() * eps - (1 - a).sqrt() * z0

    monkeypatch.setattr(model, "velocity", perfect)
    *_, last = model.illustrate(["x"], generator=rng(), num_steps=num_steps, guidance=1.0, solver=solver)
    assert torch.allclose(last.x0_hat, model.vae.decode(z0), atol=1e-3)
    assert len(noises) == num_steps and all(torch.allclose(eps, noises[0], atol=1e-3) for eps in noises)


# Training


def test_the_first_stage_is_taken_over_and_stays(model):
    fresh, teacher = SPEC.build(3), FIRST_STAGE[0].build(9)
    fresh.learn_from(teacher)
    optimizers = fresh.train().make_optimizers(SPEC.recipe)
    images = data.load("emoji_named")
    batch = Batch(data.to_float(images.images[:4]), images.labels[:4], rng(), 0.0)
    fresh.train_step(batch, optimizers)
    assert all(torch.equal(v, fresh.vae.state_dict()[k]) for k, v in teacher.state_dict().items())


def test_pictures_in_another_colour_say_so_and_the_others_are_encoded_once():
    config = dataclasses.replace(SPEC.config, recoloured=1.0, hidden=0.0)
    model, images = type(SPEC.build())(config), data.load("emoji_named")
    batch = Batch(data.to_float(images.images[:6]), images.labels[:6], rng(2), 0.0)
    z, said = model.worded(batch)
    assert len(model._latents) == 6 and not any("latents" in key for key in model.state_dict())
    plain = torch.stack([model._latents[int(place)] for place in batch.labels])
    changed = [not torch.equal(a, b) for a, b in zip(z, plain, strict=True)]
    names = {"red", "orange", "yellow", "green", "blue", "purple", "pink", "grey", "gray", "black"}
    told = [bool(names & set(vocabulary.split(text))) for text in said]
    assert any(changed) and all(t for t, c in zip(told, changed, strict=True) if c)


def test_the_autoencoders_latents_have_variance_one():
    vae, images = FIRST_STAGE[0].build(), data.load("emoji")
    batches = [
        Batch(data.to_float(images.images[i : i + 16]), images.labels[:16], rng(), 0.0) for i in (0, 900)
    ]
    with torch.no_grad():
        vae.recalibrate(iter(batches))
        z = vae.encode(torch.cat([batch.x for batch in batches]))
    assert torch.allclose(z.mean((0, 2, 3)), torch.zeros(12), atol=1e-4)
    assert torch.allclose(z.std((0, 2, 3)), torch.ones(12), atol=1e-4)
