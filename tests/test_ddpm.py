"""The mathematics of the diffusion model: schedule, noising, guidance and the papers' own steps."""

import math

import pytest
import torch
from torch import Tensor

from playground import data, registry
from playground.models._solvers import SAMPLERS, SCHEDULERS, cosine_alphas_cumprod, make_scheduler
from playground.models.ddpm import DDPM, SPECS, DDPMConfig
from playground.nn import UNet, UNetConfig
from playground.spec import Batch, SampleStep

SPEC = SPECS[0]
SMALL = UNetConfig(widths=(8, 16), blocks=(1, 1), embedding=16)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small_model(seed: int = 0) -> DDPM:
    """A tiny model none of whose weights is zero, so that every input matters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DDPM(DDPMConfig(unet=SMALL, image_size=8))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def batch(num: int = 8, size: int = 8) -> Batch:
    x = torch.randn(num, 1, size, size, generator=seeded(1)).clamp(-1, 1)
    return Batch(x, torch.arange(num) % 10, seeded(2), 0.0)


def draw(model: DDPM, seed: int = 0, num: int = 3, **controls) -> list[SampleStep]:
    controls = {"num_steps": 5} | controls
    return list(model.sample(num, labels=torch.arange(num), generator=seeded(seed), **controls))


def ddim_step(a_t: float, a_s: float, xt: Tensor, v: Tensor, eta: float, noise: Tensor) -> Tensor:
    """2010.02502, eq. 12 and 16, with x0_hat clipped and eps_hat made from it."""
    x0_hat = (math.sqrt(a_t) * xt - math.sqrt(1 - a_t) * v).clamp(-1, 1)
    eps_hat = (xt - math.sqrt(a_t) * x0_hat) / math.sqrt(1 - a_t)
    sigma = eta * math.sqrt((1 - a_s) / (1 - a_t)) * math.sqrt(1 - a_t / a_s)
    return math.sqrt(a_s) * x0_hat + math.sqrt(1 - a_s - sigma**2) * eps_hat + sigma * noise


def ddpm_step(a_t: float, a_s: float, xt: Tensor, v: Tensor, noise: Tensor) -> Tensor:
    """2006.11239, eq. 7, from t to s, with x0_hat clipped."""
    x0_hat = (math.sqrt(a_t) * xt - math.sqrt(1 - a_t) * v).clamp(-1, 1)
    beta = 1 - a_t / a_s
    mean = math.sqrt(a_s) * beta / (1 - a_t) * x0_hat + math.sqrt(1 - beta) * (1 - a_s) / (1 - a_t) * xt
    return mean + math.sqrt((1 - a_s) / (1 - a_t) * beta) * noise


def walk(model: DDPM, num_steps: int, seed: int, guidance: float, step) -> Tensor:
    """The whole way back by `step(a_t, a_s, xt, v, noise)`, with the noise that `sample` draws.

    a_t is that of the model; the last step adds no noise.
    """
    generator, labels = seeded(seed), torch.arange(3)
    a = [*model.alphas_cumprod.double().tolist(), 1.0]  # a[-1] = 1: the picture
    timesteps = [round(1000 - i * 1000 / num_steps) - 1 for i in range(num_steps)]
    xt = torch.randn(3, 1, 8, 8, generator=generator)
    for t, s in zip(timesteps, timesteps[1:] + [-1], strict=True):
        v = model.velocity(xt, t, labels, guidance)
        noise = torch.randn(xt.shape, generator=generator) if s >= 0 else torch.zeros(())
        xt = step(a[t], a[s], xt, v, noise)
    return xt


def test_the_schedule_is_diffusers_cosine():
    for name in SCHEDULERS:
        theirs = make_scheduler(name, 10).alphas_cumprod
        torch.testing.assert_close(cosine_alphas_cumprod(1000), theirs, rtol=2e-4, atol=1e-7)


def test_add_noise_is_the_chain_of_single_steps():
    """Mean and variance of x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) eps_t, composed in closed form."""
    model = small_model()
    a = model.alphas_cumprod.double()
    betas = 1 - a / torch.cat([torch.ones(1, dtype=a.dtype), a[:-1]])
    mean, variance = torch.ones((), dtype=a.dtype), torch.zeros((), dtype=a.dtype)
    x0, zero = torch.ones(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    for t, beta in enumerate(betas):
        mean, variance = (1 - beta).sqrt() * mean, (1 - beta) * variance + beta
        if t % 111 == 0:
            at = torch.tensor([t])
            assert model.add_noise(x0, zero, at)[0, 0, 0, 0].item() == pytest.approx(mean.item(), abs=1e-5)
            assert model.add_noise(zero, x0, at)[0, 0, 0, 0].item() ** 2 == pytest.approx(
                variance.item(), abs=1e-5
            )


def test_add_noise_has_the_moments_of_simulated_chains():
    model, generator = small_model(), seeded()
    a = model.alphas_cumprod
    xt = torch.full((20_000, 1), 0.7)
    for t in range(300):
        beta = 1 - a[t] / (a[t - 1] if t else 1.0)
        xt = (1 - beta).sqrt() * xt + beta.sqrt() * torch.randn(xt.shape, generator=generator)
    eps = torch.randn(20_000, 1, 1, 1, generator=generator)
    ours = model.add_noise(torch.full_like(eps, 0.7), eps, torch.full((20_000,), 299))
    assert ours.mean().item() == pytest.approx(xt.mean().item(), abs=0.02)
    assert ours.std().item() == pytest.approx(xt.std().item(), abs=0.02)


@pytest.mark.parametrize("num_steps", [1, 5, 36])  # 1000 is no multiple of 36
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_ddpm_is_the_papers_step(num_steps, guidance):
    model = small_model()
    ours = draw(model, seed=4, scheduler="DDPM", num_steps=num_steps, guidance=guidance)[-1].x
    torch.testing.assert_close(
        ours, walk(model, num_steps, 4, guidance, ddpm_step).clamp(-1, 1), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("num_steps", [1, 5, 36])
@pytest.mark.parametrize("eta", [0.0, 0.6])
def test_ddim_is_the_papers_step(num_steps, eta):
    model = small_model()

    def step(a_t: float, a_s: float, xt: Tensor, v: Tensor, noise: Tensor) -> Tensor:
        return ddim_step(a_t, a_s, xt, v, eta, noise)

    ours = draw(model, seed=4, scheduler="DDIM", num_steps=num_steps, guidance=1.0, eta=eta)[-1].x
    torch.testing.assert_close(ours, walk(model, num_steps, 4, 1.0, step).clamp(-1, 1), rtol=0, atol=1e-3)


def test_ddim_with_eta_1_is_ddpm():
    xt, v, noise = torch.randn(3, 4, 1, 8, 8, generator=seeded()).unbind(0)
    torch.testing.assert_close(ddim_step(0.3, 0.5, xt, v, 1.0, noise), ddpm_step(0.3, 0.5, xt, v, noise))


def test_dpm_solver_of_first_order_is_ddim():
    """2211.01095, section 4.1: without a history DPM-Solver++ is DDIM; of two steps both have none to use."""
    model = small_model()
    dpm, ddim = (draw(model, scheduler=name, num_steps=2)[-1].x for name in ("DPM-Solver++", "DDIM"))
    torch.testing.assert_close(dpm, ddim, rtol=0, atol=1e-3)


@pytest.mark.parametrize("scheduler", SAMPLERS)
def test_the_same_seed_draws_the_same_pictures(scheduler):
    model = small_model()
    first, again, other = (draw(model, seed, scheduler=scheduler)[-1].x for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-2)


@pytest.mark.parametrize("scheduler", SAMPLERS)
@pytest.mark.parametrize("num_steps", [1, 2, 7, 600])
def test_any_number_of_steps_stays_finite(scheduler, num_steps):
    steps = draw(small_model(), num=1, scheduler=scheduler, num_steps=num_steps, guidance=1.0)
    assert [step.step for step in steps] == list(range(1, num_steps + 1))
    assert all(step.x.isfinite().all() and step.x.abs().max() <= 1 for step in steps)


def test_guidance_mixes_the_two_branches():
    model, labels, none = small_model(), torch.arange(4), torch.full((4,), 10)
    xt, time = torch.randn(4, 1, 8, 8, generator=seeded()), torch.full((4,), 0.5)
    with torch.no_grad():
        conditional, unconditional = model.denoiser(xt, time, labels), model.denoiser(xt, time, none)
    assert not torch.allclose(conditional, unconditional, atol=1e-2)
    for guidance in (0.0, 1.0, 2.5):
        expected = unconditional + guidance * (conditional - unconditional)
        torch.testing.assert_close(model.velocity(xt, 500, labels, guidance), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model.velocity(xt, 500, None, 3.0), unconditional)


@pytest.mark.parametrize(("guidance", "nfe"), [(0.0, 5), (1.0, 5), (1.5, 10)])
def test_the_second_branch_runs_only_where_it_counts(guidance, nfe):
    model, rows = small_model(), []
    model.denoiser.register_forward_hook(lambda module, inputs, output: rows.append(len(inputs[0])))
    assert draw(model, guidance=guidance)[-1].nfe == nfe
    assert sum(rows) == 3 * nfe


def test_decode_is_the_deterministic_sample_of_its_latent():
    model, labels = small_model(), torch.arange(3)
    z = torch.randn(3, 1, 8, 8, generator=seeded(0))
    assert torch.equal(model.decode(z, labels), draw(model, 0, num_steps=50)[-1].x)


def test_encode_finds_the_noise_of_which_decode_makes_the_picture():
    model, images = registry.load("ddpm"), data.load("mnist", "test")
    x, labels = data.to_float(images.images[:2]), images.labels[:2]
    with torch.no_grad():
        again = model.decode(model.encode(x, labels), labels)
    assert (again - x).square().mean().sqrt() < 0.04


def test_denoise_shows_predictions_that_explain_xt():
    model, xt = small_model(), torch.randn(2, 1, 8, 8, generator=seeded())
    steps = list(model.denoise(xt, labels=torch.tensor([3, 4]), generator=seeded(), num_steps=8))
    assert [step.t for step in steps] == [999, 874, 749, 624, 499, 374, 249, 124]
    assert torch.equal(steps[0].xt, xt)
    for step in steps:
        again = model.add_noise(step.x0_hat, step.eps_hat, torch.tensor([step.t, step.t]))
        torch.testing.assert_close(again, step.xt, rtol=1e-4, atol=1e-4)
        assert step.x0_hat.abs().max() <= 1


def test_unknown_scheduler_and_impossible_steps_are_refused():
    with pytest.raises(ValueError, match="one of DDPM, DDIM, DPM-Solver"):
        make_scheduler("Euler", 10)
    for num_steps in (0, 1001):
        with pytest.raises(ValueError, match="1 to 1000"):
            make_scheduler("DDIM", num_steps)
        with pytest.raises(ValueError, match="1 to 1000"):
            draw(small_model(), scheduler="Euler", num_steps=num_steps)


def test_every_parameter_gets_a_finite_gradient():
    model, data = small_model(), batch(32)
    labels = torch.arange(32) % 11  # the null label too
    t = torch.arange(32) * 31
    model.loss(data.x, labels, torch.randn(data.x.shape, generator=seeded()), t).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_two_updates_lower_the_loss():
    model, data = SPEC.build(), batch(16, 28)
    optimizers = model.make_optimizers(SPEC.recipe)
    before, _, after = (
        model.train_step(data._replace(generator=seeded(2)), optimizers)["loss"] for _ in range(3)
    )
    assert after < before


def test_the_label_is_hidden_one_time_in_ten(monkeypatch):
    model, seen = small_model(), []
    monkeypatch.setattr(
        DDPM, "loss", lambda self, x0, labels, eps, t: seen.extend([labels, t]) or torch.zeros(())
    )
    monkeypatch.setattr("playground.models.ddpm.update", lambda *arguments: None)
    data = batch(4000)
    model.train_step(data, {"denoiser": None})
    labels, t = seen
    hidden = labels == 10
    assert hidden.float().mean().item() == pytest.approx(0.1, abs=0.02)
    assert torch.equal(labels[~hidden], data.labels[~hidden])
    assert t.bincount(minlength=1000).tolist() == [4] * 1000  # spread evenly over the batch


def test_the_unet_takes_other_shapes_and_a_further_vector():
    config = UNetConfig(
        in_channels=3, out_channels=6, widths=(8, 16, 24), blocks=(1, 0, 1), num_classes=0, extra=5
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet(config)
        for parameter in unet.parameters():  # fresh blocks are the identity and overlook the embedding
            torch.nn.init.normal_(parameter, std=0.3)
    x, t = torch.randn(2, 3, 32, 32, generator=seeded()), torch.tensor([0.1, 0.9])
    outputs = [unet(x, t, extra=extra) for extra in (torch.zeros(2, 5), torch.ones(2, 5))]
    assert outputs[0].shape == (2, 6, 32, 32)
    assert not torch.allclose(*outputs, atol=1e-4)


def test_the_network_is_small():
    assert 0.3e6 < sum(parameter.numel() for parameter in SPEC.build().parameters()) < 1e6
