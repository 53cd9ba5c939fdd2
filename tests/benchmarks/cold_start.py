"""Seconds from `python app.py` to a page that answers, in turns with a bare one-button gradio page.

Run: python tests/benchmarks/cold_start.py [--rounds 3]
"""

import argparse
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from timing import ROOT, in_turns, report

BARE = """
import sys
import gradio as gr
with gr.Blocks() as page:
    gr.Button("x")
page.launch(server_port=int(sys.argv[2]), ssr_mode=False, quiet=True)
"""
PATIENCE = 180.0  # seconds


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def seconds_to_answer(command: list[str]) -> float:
    """Start a server and ask it for its page until it answers."""
    port = free_port()
    start = time.perf_counter()
    environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"}
    with subprocess.Popen(
        [sys.executable, *command, "--port", str(port)], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    ) as server:
        try:
            while time.perf_counter() - start < PATIENCE:
                if server.poll() is not None:
                    raise SystemExit(f"{command} ended with status {server.returncode}.")
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
                        if page.status == 200 and b"gradio" in page.read():
                            return time.perf_counter() - start
                except (urllib.error.URLError, OSError):
                    time.sleep(0.05)
            raise SystemExit(f"{command} did not answer within {PATIENCE:.0f} s.")
        finally:
            server.kill()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    tasks = {
        "python app.py": lambda: seconds_to_answer(["app.py"]),
        "a bare page": lambda: seconds_to_answer(["-c", BARE]),
    }
    report("Cold start", in_turns(tasks, arguments.rounds), "s", "a bare page")


if __name__ == "__main__":
    main()
