"""Weights on disk: ``pretrained/<name>/`` holds model.safetensors, card.json and README.md.

Files are written whole or not at all (temporary file, fsync, rename), and read only if their sha256 is the
card's: safetensors loads a flipped byte without a word.
"""

import hashlib
import json
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from playground.locale import Told
from playground.paths import pretrained_folder

_WEIGHTS, _CARD, _README = "model.safetensors", "card.json", "README.md"
_PARTIAL, _ABANDONED = ".playground-partial-", 3600.0  # seconds after which a crash must have left it
MAX_SINGLE = 2**18  # bytes in single precision; the history keeps every version of larger ones, in bfloat16


class WeightsError(Told, RuntimeError):
    """Shipped weights cannot be used; one sentence says why and what helps."""


def folder(name: str) -> Path:
    """Where a model's weights live."""
    return pretrained_folder() / name


def shipped(name: str) -> bool:
    """Whether a model has weights and a card."""
    return (folder(name) / _WEIGHTS).is_file() and (folder(name) / _CARD).is_file()


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new one and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{_PARTIAL}*"):  # by a crash
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED:
                left.unlink()
    partial = path.with_name(f"{_PARTIAL}{secrets.token_hex(8)}")  # its own: several may write at once
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def pack(state: dict[str, Tensor], card: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Weights as the bytes of a safetensors file, and the card with their sha256, shapes and precision.

    What would pass `MAX_SINGLE` in float32 is stored in bfloat16, which costs no quality that we can measure
    and takes, compressed, a seventh less of the history than float16; loading makes float32 of it again. A
    card that has a precision already keeps it: its weights are, for the most part, those of before.
    """
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    large = sum(value.numel() * value.element_size() for value in tensors.values()) > MAX_SINGLE
    precision = card.get("precision", "bfloat16" if large else "float32")
    stored = getattr(torch, precision)
    tensors = {k: v.to(stored) if v.dtype == torch.float32 else v for k, v in tensors.items()}
    content = save_safetensors(tensors)
    return content, card | {
        "precision": precision,
        "sha256": hashlib.sha256(content).hexdigest(),
        "shapes": {key: list(value.shape) for key, value in tensors.items()},
    }


def save(name: str, state: dict[str, Tensor], card: dict[str, Any]) -> dict[str, Any]:
    """Write weights and card; the card gets the sha256 and the shapes, and is returned."""
    content, card = pack(state, card)
    atomic_write(folder(name) / _WEIGHTS, content)
    write_card(name, card)
    return card


def read_card(name: str) -> dict[str, Any]:
    """The card of a model's weights.

    Raises:
        WeightsError: if it is missing or is not a JSON object with a sha256.
    """
    path = folder(name) / _CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError("errors.weights_none", name=name) from error
    except (OSError, ValueError) as error:
        raise WeightsError("errors.card_unreadable", name=name, why=error, path=path) from error
    if not isinstance(card, dict) or not isinstance(card.get("sha256"), str):
        raise WeightsError("errors.card_bare", name=name, path=path)
    changes, metrics = card.get("changes", []), card.get("metrics", {})
    if not isinstance(changes, list) or not all(map(_is_change, changes)):
        raise WeightsError("errors.card_unreadable", name=name, why="changes", path=path)
    if not isinstance(metrics, dict) or not all(map(_is_metric, metrics.values())):
        raise WeightsError("errors.card_unreadable", name=name, why="metrics", path=path)
    return card


def _is_metric(entry: Any) -> bool:
    """Whether it is {"value": ..., "num": ..., ...}."""
    return isinstance(entry, dict) and "value" in entry


def _is_change(change: Any) -> bool:
    """Whether it is [step, {key: value}]."""
    match change:
        case [int(), dict()]:
            return True
    return False


def write_card(name: str, card: dict[str, Any]) -> None:
    """Write card.json and the README.md a person reads, both from `card`."""
    text = json.dumps(card, indent=1, ensure_ascii=False)
    atomic_write(folder(name) / _CARD, (text + "\n").encode())
    atomic_write(folder(name) / _README, _readme(card).encode())


def load_state(name: str, model: nn.Module) -> None:
    """Fill `model` with its shipped weights.

    Raises:
        WeightsError: if a file is missing, damaged, or does not fit the model.
    """
    card = read_card(name)
    path = folder(name) / _WEIGHTS
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError("errors.weights_unreadable", name=name, why=error, path=path) from error
    if hashlib.sha256(content).hexdigest() != card["sha256"]:
        raise WeightsError("errors.weights_damaged", name=name, path=path)
    try:
        state = load_safetensors(content)
    except SafetensorError as error:
        raise WeightsError("errors.weights_format", name=name, why=error, path=path) from error
    _fill(name, model, state)


def _fill(name: str, model: nn.Module, state: dict[str, Tensor]) -> None:
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    if expected != found:
        wrong = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
        key = wrong[0]
        shapes = {"found": found.get(key, "-"), "expected": expected.get(key, "-")}
        raise WeightsError("errors.weights_misfit", name=name, num=len(wrong), tensor=key, **shapes)
    with torch.no_grad():
        model.load_state_dict(state)


def _readme(card: dict[str, Any]) -> str:
    """The model card in the Hub's form: front matter, then tables."""
    name = card["name"]
    metrics = "\n".join(
        f"| {key} | {entry['value']} | {entry.get('num', '')} |"
        for key, entry in card.get("metrics", {}).items()
    )
    facts = "\n".join(f"| {key} | {card.get(key, '')} |" for key in (
        "family", "paper", "dataset", "num_parameters", "seed", "num_steps", "training_minutes", "device",
        "sha256",
    ))  # fmt: skip
    return (
        "---\nlicense: apache-2.0\nlibrary_name: pytorch\n"
        f"tags: [{card['family']}, generative-playground]\n---\n"
        f"# {card['title']} (`{name}`)\n\n{card['summary']}\n\n"
        f"Made by `python -m playground pretrain {name}`; "
        f"the numbers by `python -m playground evaluate {name}`.\n\n"
        f"| fact | value |\n| --- | --- |\n{facts}\n\n"
        f"| metric | value | computed on (pictures) |\n| --- | --- | --- |\n{metrics}\n\n"
        "Frechet and kernel distances, precision, recall, density and coverage are measured on the features "
        "of this repository's own digit classifier: they compare with each other and with nothing else.\n\n"
        f"Licence: {card['licence']}. Source: {card['source']}.\n"
    )
