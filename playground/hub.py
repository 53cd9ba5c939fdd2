"""Models that others trained and published: downloaded on first use, at a pinned revision, or not at all.

A download runs in a thread of its own, one for each model however many ask; whoever waits for it may stop
waiting, and it goes on. Files arrive under a partial name and are renamed at the end, so that what is here
is complete; a download that broke off goes on from where it was or begins again.
"""

import math
import os
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from playground.paths import cache_folder
from playground.spec import GenerativeModel, ModelSpec, Published
from playground.weights import WeightsError

_LOOK_EVERY = 0.25  # seconds
_SILENCE = 20  # seconds without a byte before a server counts as gone
_CHUNK = 2**18
_MAGIC = (b"PK", b"\x80\x02")  # what torch saves begins with: a zip archive, before 2020 a pickle
_RUNNING: dict[str, "_Download"] = {}
_LOCK = threading.Lock()  # guards the dictionary


class HubError(WeightsError):
    """Published weights cannot be had; one sentence says why and what helps."""


def folder(spec: ModelSpec) -> Path:
    """Where the files of a published model lie, or will lie."""
    return cache_folder() / "hub" / spec.name / (_source(spec).revision or "file")


def megabytes(spec: ModelSpec) -> int:
    """What a published model weighs, rounded up."""
    return math.ceil(_source(spec).num_bytes / 1e6)


def here(spec: ModelSpec) -> bool:
    """Whether all its files have been downloaded."""
    return all((folder(spec) / name).is_file() for name in _source(spec).files)


def fetch(spec: ModelSpec) -> Iterator[float]:
    """Download what is missing; yields the share that is here, 0 to 1, several times a second.

    Leaving the iterator early does not end the download.

    Raises:
        HubError: if there is no network, or the source does not give the files.
    """
    if here(spec):
        return
    with _LOCK:
        running = _RUNNING.get(spec.name)
        if running is None or not running.thread.is_alive():
            running = _RUNNING[spec.name] = _Download(spec)
            running.thread.start()
    while running.thread.is_alive():
        yield min(_held(folder(spec)) / _source(spec).num_bytes, 1.0)
        running.thread.join(_LOOK_EVERY)
    if running.error is not None:
        raise running.error


def open_published(spec: ModelSpec) -> GenerativeModel:
    """The model with its published weights, downloaded if they are not here yet.

    Raises:
        HubError: if the files cannot be had or read.
    """
    for _ in fetch(spec):
        pass
    model = spec.build()
    try:
        model.take_over(folder(spec))
    except Exception as error:  # whatever a damaged or unexpected file leads its reader to
        told = {"name": spec.name, "why": type(error).__name__, "folder": folder(spec)}
        raise HubError("errors.hub_damaged", **told) from error
    return model


class _Download:
    """One download in a thread."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec, self.error = spec, None if here(spec) else _offline(spec)
        self.thread = threading.Thread(target=self._run, daemon=True, name=f"download {spec.name}")

    def _run(self) -> None:
        if self.error is not None:
            return
        source, where = _source(self.spec), folder(self.spec)
        try:
            where.mkdir(parents=True, exist_ok=True)
            for name in source.files:
                if source.repo:
                    _from_hub(source, name, where)
                elif not (where / name).is_file():
                    _from_web(source, name, where)
        except Exception as error:  # of the network, of the disk, of the Hub: its reader needs one sentence
            told = {"model": self.spec.title, "page": source.page, "why": _first_line(error)}
            self.error = HubError("errors.hub_unreachable", **told)


def _offline(spec: ModelSpec) -> HubError | None:
    if os.environ.get("HF_HUB_OFFLINE", "").lower() not in ("1", "true", "yes", "on"):
        return None
    return HubError("errors.hub_forbidden", model=spec.title)


def _from_hub(source: Published, name: str, where: Path) -> None:
    from huggingface_hub import hf_hub_download, hf_hub_url

    question = urllib.request.Request(hf_hub_url(source.repo, name, revision=source.revision), method="HEAD")
    urllib.request.urlopen(question, timeout=_SILENCE).close()  # else the library tries for half a minute
    hf_hub_download(source.repo, name, revision=source.revision, local_dir=where, etag_timeout=_SILENCE)


def _from_web(source: Published, name: str, where: Path) -> None:
    path, partial = where / name, where / f".{name}.partial"
    try:
        with (
            urllib.request.urlopen(source.url + name, timeout=_SILENCE) as answer,
            partial.open("wb") as file,
        ):
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                if file.tell() > 2 * source.num_bytes:
                    raise OSError("the file is far larger than it should be")
            length = answer.headers.get("Content-Length")  # reading in chunks ends without a word where
            if length is not None and file.tell() != int(length):  # the connection does
                raise OSError(f"the connection broke off after {file.tell():,} of {int(length):,} bytes")
            file.flush()
            os.fsync(file.fileno())
        with partial.open("rb") as file:  # many a network answers with a page of its own
            if not file.read(2).startswith(_MAGIC):
                raise OSError("what arrived are no weights")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _source(spec: ModelSpec) -> Published:
    if spec.published is None:
        raise ValueError(f"{spec.name} is not a published model.")
    return spec.published


def _held(where: Path) -> int:
    """Bytes of a folder, partial files included; what vanishes while we look counts for nothing."""
    total = 0
    for path in where.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:160].rstrip(".")
