"""Where the playground reads and writes outside its own code."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """What it may lose (downloads, checkpoints): ``PLAYGROUND_CACHE`` or the user's cache folder."""
    return Path(os.environ.get("PLAYGROUND_CACHE") or Path.home() / ".cache" / "generative-playground")


def pretrained_folder() -> Path:
    """The shipped weights: ``PLAYGROUND_PRETRAINED`` or ``pretrained/`` beside the package."""
    return Path(os.environ.get("PLAYGROUND_PRETRAINED") or Path(__file__).parent.parent / "pretrained")
