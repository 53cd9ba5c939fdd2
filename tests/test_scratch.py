"""Temporary files: private, swept by age and by size, gone at the end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from playground import scratch


def test_old_files_go_and_then_the_oldest_until_the_rest_fits(tmp_path):
    now = time.time()
    for name, age in {"ancient": 500, "older": 50, "old": 40, "new": 30}.items():
        path = tmp_path / name / "file"  # as gradio keeps them: each in a folder of its own
        path.parent.mkdir()
        path.write_bytes(b"x" * 100)
        os.utime(path, (now - age, now - age))
    scratch.sweep(tmp_path, seconds=100, num_bytes=250)
    assert sorted(path.parent.name for path in tmp_path.rglob("file")) == ["new", "old"]


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without asking it")
def test_the_folder_goes_with_a_process_that_is_asked_to_end():
    code = "import time; from playground import scratch; print(scratch.root(), flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        path = Path(process.stdout.readline().strip())
        assert path.is_dir()
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM
    assert not path.exists()


def test_a_process_has_a_folder_of_its_own_that_ends_with_it():
    code = "from playground import scratch; print(scratch.folder('gradio'))"
    found = [
        Path(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip())
        for _ in range(2)
    ]
    assert found[0] != found[1] and found[0].name == "gradio"
    assert not any(path.parent.exists() for path in found)
    assert scratch.root().stat().st_mode & 0o077 == 0 or os.name == "nt"
