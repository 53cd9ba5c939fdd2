"""Which device the playground computes on."""

import os
import platform

import torch


def pick() -> torch.device:
    """The device named by ``PLAYGROUND_DEVICE``, otherwise cuda, then mps, then cpu.

    Raises:
        ValueError: if the variable names no device of this machine.
    """
    wanted = os.environ.get("PLAYGROUND_DEVICE", "").strip()
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if not wanted:
        return torch.device(next(kind for kind, there in available.items() if there))
    kind = wanted.split(":")[0]
    if not available.get(kind, False):
        names = ", ".join(name for name, there in available.items() if there)
        raise ValueError(f"PLAYGROUND_DEVICE={wanted!r} is not available here; choose one of: {names}.")
    return torch.device(wanted)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory has run out, on whichever device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()  # on a CPU it is a plain RuntimeError
    return isinstance(error, RuntimeError) and ("out of memory" in text or "allocate memory" in text)


def title(where: torch.device) -> str:
    """What a person calls a device: the GPU's name, or the processor and its number of cores."""
    if where.type == "cuda":
        return torch.cuda.get_device_name(where)
    return f"{where.type}, {platform.machine()}, {os.cpu_count()} cores"
