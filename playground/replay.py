"""What a training run leaves behind to be replayed in seconds: its losses and a dozen moments of its samples.

``pretrained/<name>/replay.json`` holds the losses, at most 300 points a curve, and the steps of the moments;
``replay.png`` holds the pictures, a row a moment; those in colour, which are larger, are in ``replay.webp``.
"""

import json
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from playground import data, weights
from playground.training import TrainEvent

MAX_POINTS = 300
MAX_MOMENTS = 16
_JSON, _PNG, _WEBP = "replay.json", "replay.png", "replay.webp"
_QUALITY = 70  # of WebP: a tenth of the bytes, and the pictures are shown small


class Recorder:
    """Collects events in bounded memory: when a curve is full, neighbouring points are averaged in pairs."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or from what `state` returned before a checkpoint."""
        state = state or {}
        self._every: int = state.get("every", 1)  # updates averaged into one point
        self._points: dict[str, list[list[float]]] = state.get("points", {})
        self._pending: dict[str, list[float]] = state.get("pending", {})
        self._frames: list[tuple[int, Tensor]] = [(s, f) for s, f in state.get("frames", [])]

    def record(self, event: TrainEvent) -> None:
        """Add one update."""
        for name, value in event.metrics.items():
            pending = self._pending.setdefault(name, [])
            pending.append(value)
            if len(pending) >= self._every:
                self._points.setdefault(name, []).append([event.step, sum(pending) / len(pending)])
                pending.clear()
        if any(len(points) >= 2 * MAX_POINTS for points in self._points.values()):
            self._points = {name: _halve(points) for name, points in self._points.items()}
            self._every *= 2
        if event.samples is not None:
            self._frames.append((event.step, data.to_uint8(event.samples)))

    def state(self) -> dict[str, Any]:
        """All of it as plain values and tensors, for a checkpoint."""
        frames = [list(frame) for frame in self._frames]
        return {"every": self._every, "points": self._points, "pending": self._pending, "frames": frames}

    def losses(self) -> dict[str, list[list[float]]]:
        """The curves by name, each at most `MAX_POINTS` points of [step, value]."""
        return {n: p if len(p) <= MAX_POINTS else _halve(p) for n, p in self._points.items()}

    def frames(self) -> list[tuple[int, Tensor]]:
        """The moments: (step, (16, C, H, W) uint8)."""
        return list(self._frames)

    def write(self, name: str) -> None:
        """Put the replay beside the weights of `name`."""
        frames = _thin(self._frames)
        strips = [_strip(frame) for _, frame in frames]
        content: dict[str, Any] = {
            "losses": {n: [[s, _round(v)] for s, v in points] for n, points in self.losses().items()},
            "steps": [step for step, _ in frames],
            "shape": list(frames[0][1].shape) if frames else [],
        }
        text = json.dumps(content, separators=(",", ":"))
        if strips:
            weights.atomic_write(weights.folder(name) / _file(content["shape"]), _packed(strips))
            other = _PNG if _file(content["shape"]) == _WEBP else _WEBP
            (weights.folder(name) / other).unlink(missing_ok=True)  # of an earlier training
        weights.atomic_write(weights.folder(name) / _JSON, text.encode())


def read(name: str) -> dict[str, Any]:
    """The replay of a model's shipped training.

    Returns:
        ``losses``: {name: [[step, value], ...]}, ``every``: updates averaged into a point, and
        ``frames``: [(step, (16, C, H, W) uint8), ...].

    Raises:
        weights.WeightsError: if there is none, or it cannot be read.
    """
    try:
        content = json.loads((weights.folder(name) / _JSON).read_text(encoding="utf-8"))
        frames: list[tuple[int, Tensor]] = []
        if content["steps"]:
            with Image.open(weights.folder(name) / _file(content["shape"])) as sheet:
                frames = list(zip(content["steps"], _cut(np.asarray(sheet), content["shape"]), strict=True))
        points = next(iter(content["losses"].values()), [[1, 0.0]])
        return {"losses": content["losses"], "every": int(points[0][0]), "frames": frames}
    except (OSError, ValueError, KeyError) as error:
        raise weights.WeightsError("errors.no_replay", name=name, why=error) from error


def curves(name: str) -> tuple[str, ...]:
    """The names of the curves of a model's shipped training; none if there is no replay that can be read."""
    try:
        return tuple(json.loads((weights.folder(name) / _JSON).read_text(encoding="utf-8"))["losses"])
    except (OSError, ValueError, KeyError):
        return ()


def _file(shape: list[int]) -> str:
    """Where pictures of that shape, (B, C, H, W), are."""
    return _WEBP if shape[1] == 3 else _PNG


def _packed(strips: list[np.ndarray]) -> bytes:
    buffer, sheet = BytesIO(), Image.fromarray(np.concatenate(strips))
    if sheet.mode == "RGB":
        sheet.save(buffer, "WEBP", quality=_QUALITY)
    else:
        sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _halve(points: list[list[float]]) -> list[list[float]]:
    pairs = zip(points[::2], points[1::2], strict=False)
    return [[b[0], (a[1] + b[1]) / 2] for a, b in pairs]


def _thin(frames: list[tuple[int, Tensor]]) -> list[tuple[int, Tensor]]:
    """At most `MAX_MOMENTS`, the first and the last among them; a run in several goes has more."""
    if len(frames) <= MAX_MOMENTS:
        return frames
    gap = (len(frames) - 1) / (MAX_MOMENTS - 1)
    return [frames[round(i * gap)] for i in range(MAX_MOMENTS)]


def _round(value: float) -> float:
    return float(f"{value:.4g}")


def _strip(frame: Tensor) -> np.ndarray:
    """(B, C, H, W) uint8 -> (H, B * W) or (H, B * W, 3)."""
    _, channels, height, _ = frame.shape
    row = frame.permute(2, 0, 3, 1).reshape(height, -1, channels)
    return row.squeeze(-1).numpy() if channels == 1 else row.numpy()


def _cut(sheet: np.ndarray, shape: list[int]) -> list[Tensor]:
    num, channels, height, width = shape
    moments = sheet.reshape(-1, height, num, width, channels).transpose(0, 2, 4, 1, 3)
    return [torch.from_numpy(moment.copy()) for moment in moments]
