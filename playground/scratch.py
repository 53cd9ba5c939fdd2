"""Temporary files: one private folder for each process, swept while it serves and removed when it ends.

A folder of a fixed name would belong to the first user of a computer and shut the others out.
"""

import atexit
import shutil
import signal
import sys
import tempfile
import threading
import time
from functools import cache
from pathlib import Path

KEEP_SECONDS = 6 * 3600  # what was uploaded, or offered for download, and nobody touched since
MAX_BYTES = 500 * 2**20
_EVERY = 60.0  # seconds from sweep to sweep


@cache
def root() -> Path:
    """This process's own folder; nobody else can read it. A service manager's SIGTERM removes it as well."""
    path = Path(tempfile.mkdtemp(prefix="generative-playground-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    main = threading.current_thread() is threading.main_thread()  # others must not set handlers
    if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # which ends without atexit
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    return path


def folder(name: str) -> Path:
    """A folder in it."""
    path = root() / name
    path.mkdir(exist_ok=True)
    return path


def sweep(path: Path, seconds: float = KEEP_SECONDS, num_bytes: int = MAX_BYTES) -> None:
    """Delete files that are older than `seconds`, and the oldest until the rest has at most `num_bytes`."""
    found = []
    for file in path.rglob("*"):
        try:
            if file.is_file():
                found.append((file.stat().st_mtime, file.stat().st_size, file))
        except OSError:  # gone since it was listed
            continue
    total, now = sum(size for _, size, _ in found), time.time()
    for changed, size, file in sorted(found, key=lambda one: one[0]):
        if now - changed > seconds or total > num_bytes:
            file.unlink(missing_ok=True)
            total -= size


def swept(name: str) -> Path:
    """A folder in it that is swept every minute, in the background, as long as the process lives."""
    path = folder(name)

    def work() -> None:
        while True:
            time.sleep(_EVERY)
            try:
                sweep(path)
            except OSError:  # a file in use, elsewhere than on Unix: next time
                continue

    threading.Thread(target=work, name="sweeper", daemon=True).start()
    return path
