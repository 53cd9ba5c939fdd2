"""The commands: each one checks its values, calls what does the work and prints what comes back.

Exit status 0, or 2 with one sentence on standard error and no trace; ``PLAYGROUND_TRACE=1`` shows the trace
of what nobody expected.
"""

import json
import os
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from playground import console, data, device, distributed, hub, listing, registry, validation, weights
from playground.console import Failure, Progress, duration
from playground.spec import GenerativeModel, ModelSpec

BATCH = 100  # pictures at a time; what a seed draws depends on it, so it is no option
MAX_NUM = 100_000
_SAY_EVERY = 5.0  # seconds between two lines of pretrain

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Sample, train and measure the playground's generative models.",
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A model; `list` shows them.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    try:
        with warnings.catch_warnings():
            if not os.environ.get("PLAYGROUND_TRACE"):
                warnings.simplefilter("ignore")  # a library's: what matters is said here, in one line
            status = app(arguments, prog_name="python -m playground", standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
    except (SystemExit, BrokenPipeError):  # who read, such as `| head`, has gone: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the outermost boundary: whatever it is, its user reads one line
        return _refuse(error)
    return _refuse(Failure("Interrupted.")) if status else 0


def _refuse(error: Exception) -> int:
    """Say what went wrong in one line."""
    if os.environ.get("PLAYGROUND_TRACE"):
        raise error
    if console.said_by_main(error):
        return 2
    said = error.format_message() if isinstance(error, typer.TyperException) else str(error)
    if device.out_of_memory(error):
        said = "There is not enough memory; ask for fewer pictures, or set PLAYGROUND_DEVICE=cpu."
    elif isinstance(error, OSError):
        said = f"{error.filename or 'A file'} cannot be read or written ({error.strerror or error})."
    elif not isinstance(error, typer.TyperException | Failure | ValueError | RuntimeError):
        said = f"{type(error).__name__}: {said} (PLAYGROUND_TRACE=1 shows where)."
    print(" ".join(said.split()), file=sys.stderr)
    return 2


@app.command("list")
def list_models(
    as_json: Json = False,
    readme: Annotated[Path | None, typer.Option(help="Rewrite what this file tells of the cards.")] = None,
) -> None:
    """Every model: name, family, data set, conditional, capabilities, parameters, metrics."""
    if readme is not None:
        try:
            content = listing.with_tables(readme.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(f"{readme} cannot be read ({getattr(error, 'strerror', 'no text')}).") from error
        console.write(readme, content.encode())
    elif as_json:
        print(json.dumps(listing.everything(), indent=1))
    else:
        print(listing.plain())


@app.command()
def sample(
    name: Name,
    output: Annotated[str, typer.Option("-o", "--output", help="FILE.png (a grid) or FILE.npz (arrays).")],
    num: Annotated[int, typer.Option("-n", "--num", help=f"Pictures, 1 to {MAX_NUM}.")] = 16,
    seed: Annotated[int, typer.Option(help="The same seed draws the same pictures.")] = 0,
    label: Annotated[
        str | None, typer.Option(help="The class; without it all, as often as in the data.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A control of the model.")
    ] = None,
) -> None:
    """Draw pictures, 100 at a time: model, seed, number, label and controls decide every one of them."""
    path = Path(output)
    spec = validation.model(name, "Samples", elsewhere=True)
    validation.count(num, 1, MAX_NUM)
    validation.seed(seed)
    num_classes = 10 if spec.published else len(data.load(spec.dataset, "test").classes)
    wanted = validation.label(label, spec, num_classes)
    controls = validation.assignments(set_ or [], spec)
    console.check_output(path, (".png", ".npz"))
    labels = _labels(spec, num, wanted)
    _fetch(spec)
    images = np.concatenate(list(_draw(spec, registry.load(name), labels, seed, controls)))
    if path.suffix.lower() == ".npz":
        console.write(path, console.npz(images, labels))
    else:
        request = {"model": name, "seed": seed, "label": wanted, "n": num, "controls": controls}
        console.write(path, _png(spec, images, request))


def _fetch(spec: ModelSpec) -> None:
    """Download a published model, with its progress."""
    if spec.published is None or hub.here(spec):
        return
    with Progress(f"{spec.title}, {hub.megabytes(spec)} MB") as progress:
        for share in hub.fetch(spec):
            progress.update(share)


def _png(spec: ModelSpec, images: np.ndarray, request: dict[str, Any]) -> bytes:
    """(N, H, W, C) uint8 as a grid that holds its request, as those of the Sample tab do."""
    from playground import figures

    picture = figures.grid(images)
    sha256 = registry.card(spec.name)["sha256"] if spec.published is None else None
    whole = {"weights_sha256": sha256, "versions": figures.versions()}
    return figures.png_with_request(picture, request | whole)


def _labels(spec: ModelSpec, num: int, wanted: int | None) -> np.ndarray:
    """(num,) int64: the class asked for, classes as often as in the data, or -1 for a model without."""
    if not spec.conditional:
        return np.full(num, -1, np.int64)
    if wanted is not None:
        return np.full(num, wanted, np.int64)
    return data.in_proportion(spec.dataset, num).numpy()


def _draw(
    spec: ModelSpec, model: GenerativeModel, labels: np.ndarray, seed: int, controls: dict[str, Any]
) -> Iterator[np.ndarray]:
    """Batches of (B, H, W, C) uint8 from one generator, so that a longer run begins like a shorter one."""
    from playground import figures

    generator = torch.Generator().manual_seed(seed)
    where = next(model.parameters()).device
    sampler: Any = model
    with Progress(spec.title) as progress, torch.no_grad():
        for start in range(0, len(labels), BATCH):
            part = torch.from_numpy(labels[start : start + BATCH])
            asked = part.to(where) if spec.conditional else None
            for moment in sampler.sample(len(part), labels=asked, generator=generator, **controls):
                progress.update((start + len(part) * moment.step / moment.num_steps) / len(labels))
            yield figures.to_pixels(moment.x)


@app.command()
def translate(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A model, or a CycleGAN generator: latest_net_G_A.pth.")
    ],
    source: Annotated[str, typer.Argument(metavar="IN.png", help="A PNG, JPEG or WebP file.")],
    output: Annotated[str, typer.Option("-o", "--output", help="OUT.png.")],
    direction: Annotated[
        str | None, typer.Option(help="ab or ba; some models go one way only, and a .pth file needs none.")
    ] = None,
) -> None:
    """Map a picture, scaled to the model's size, to the other domain."""
    from playground import figures, official

    path = Path(output)
    if name.lower().endswith(official.SUFFIX):
        validation.choice(direction or "ab", "direction", ("ab", "ba"))
        console.check_output(path, (".png",))
        y = official.translate(name, console.read(Path(source)))
    else:
        y = _translated(name, source, direction, path)
    console.write(path, figures.png(figures.grid(y)))


def _translated(name: str, source: str, direction: str | None, path: Path) -> torch.Tensor:
    """A picture by a model of the registry; what is wrong is said before the work."""
    from playground import translating

    spec = validation.model(name, "Translates", elsewhere=True)
    way = validation.choice(direction, "direction", translating.directions(spec))
    console.check_output(path, (".png",))
    x = translating.read(spec, way, console.read(Path(source)))
    _fetch(spec)
    translator: Any = registry.load(name)
    with torch.no_grad():
        return translator.translate(x.to(next(translator.parameters()).device), way)


@app.command()
def pretrain(
    name: Name,
    minutes: Annotated[
        float | None, typer.Option(help="Train this long instead of the recipe's steps.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    from_weights: Annotated[
        bool, typer.Option("--from-weights", help="Go on from the shipped weights, if not from a checkpoint.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the weights, the order of the pictures and all noise.")] = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A switch of the training.")
    ] = None,
    free: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Only shipped weights so named go on learning.")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--evaluate/--no-evaluate", help="Put metrics on the card.")
    ] = True,
) -> None:
    """Train by the recipe with checkpoints; ends by writing the weights, the card and its numbers."""
    from playground import pretrain as full_run

    validation.model(name)
    validation.seed(seed)
    switches = validation.turned(set_ or [], registry.spec(name))
    if minutes is not None:
        validation.number(minutes, "minutes", 0.01, 10_080)
    checkpoint = full_run.checkpoint_path(name)
    console.check_checkpoint(checkpoint)
    console.check_writable(weights.folder(name))
    if resume and not checkpoint.is_file() and not (from_weights or free) and distributed.is_main():
        print(f"There is no checkpoint of {name} yet: starting from the beginning.", file=sys.stderr)
    how: Any = {"resume": resume, "from_weights": from_weights, "switches": switches, "free": free}
    events = full_run.pretrain(name, minutes=minutes, seed=seed, **how)
    _follow(events, console.how_to_resume(name, minutes, seed, set_ or [], free))
    if distributed.is_main():
        print(f"The weights are in {weights.folder(name)}.", flush=True)
        if measure:
            evaluate([name], write=True)


def _follow(events: Any, how_to_resume: str) -> None:
    """Print a training's progress until it ends or any of its processes is interrupted."""
    said = float("-inf")
    with console.interruptible() as interrupted:
        for event in events:
            if distributed.anyone(bool(interrupted)):
                events.close()
                raise Failure(f"Stopped at step {event.step:,}; {how_to_resume}")
            if time.monotonic() - said > _SAY_EVERY and distributed.is_main():
                said = time.monotonic()
                print(f"{listing.training_line(event)}  {duration(event.eta)} left", flush=True)


@app.command()
def evaluate(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME ...]", help="All, if none.")] = None,
    num: Annotated[int, typer.Option(help="Pictures to draw, and test images to score.")] = 10_000,
    as_json: Json = False,
    write: Annotated[bool, typer.Option("--write", help="Put the numbers on the cards.")] = False,
    only: Annotated[
        str | None,
        typer.Option(
            help="One part: speed, samples, truncation, likelihood, iwae, reconstruction, accuracy, wording "
            "or translation."
        ),
    ] = None,
) -> None:
    """Compute the numbers on the cards again."""
    from playground import evaluation

    chosen = [validation.model(name).name for name in names or []] or registry.names()
    validation.count(num, evaluation.MIN_NUM, evaluation.MAX_NUM)
    parts = evaluation.PARTS if only is None else (validation.choice(only, "part", evaluation.PARTS),)
    found: dict[str, evaluation.Metrics] = {}
    for name in chosen if names else filter(registry.shipped, chosen):
        with Progress(name) as progress:
            for event in evaluation.evaluate_steps(name, num, only=parts):
                progress.update(event.done / max(event.total, 1), f"{name}, {event.what}", event.eta)
        found[name] = event.metrics or {}
        if write:
            evaluation.write_card(name, found[name])
        if not as_json:
            print(listing.metrics_block(name, found[name]), flush=True)
    if as_json:
        print(json.dumps(found, indent=1))
