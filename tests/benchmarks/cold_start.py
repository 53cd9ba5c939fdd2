"""Seconds from `python app.py` to a page that answers, in turns with a bare one-button gradio page.

Run: python tests/benchmarks/cold_start.py [--rounds 3]
"""

import argparse

from timing import in_turns, report, serving

BARE = """
import sys
import gradio as gr
with gr.Blocks() as page:
    gr.Button("x")
page.launch(server_port=int(sys.argv[2]), ssr_mode=False, quiet=True)
"""


def seconds_to_answer(command: list[str]) -> float:
    """Start a server and ask it for its page until it answers."""
    with serving(command) as (_, seconds):
        return seconds


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
