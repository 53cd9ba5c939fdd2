"""The generative playground in the browser: builds the tabs, queues, launches; nothing else."""

import argparse
import os

from playground import device, scratch

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000")
os.environ.setdefault("GRADIO_TEMP_DIR", str(scratch.swept("gradio")))

import gradio as gr  # noqa: E402  (reads the variables above when it is imported)

from playground.tabs import common, modules, page  # noqa: E402


def build() -> gr.Blocks:
    """The whole page: a header and one tab for every module of `playground.tabs`."""
    with gr.Blocks(title="Generative playground", analytics_enabled=False) as blocks:
        common.html(page.header([module.TITLE for module in modules()]), elem_id="pg-header")
        with gr.Tabs(elem_id="pg-tabs"):
            for module in modules():
                with gr.Tab(common.word(module.TITLE), id=module.__name__.rpartition(".")[2]):
                    common.heading(module.TITLE)
                    module.build()
        common.sessions(blocks)
    return blocks


def launch(arguments: argparse.Namespace, **options: object) -> tuple:
    """Serve the page; returns what `gr.Blocks.launch` returns."""
    blocks = build().queue(api_open=False, status_update_rate=2, default_concurrency_limit=None)
    return blocks.launch(
        server_name=arguments.host,
        server_port=arguments.port,
        share=arguments.share,
        **common.LIMITS,
        ssr_mode=False,
        i18n=common.I18N,
        **page.look(),
        **options,
    )


def main() -> None:
    """Read the command line and serve until interrupted."""
    parser = argparse.ArgumentParser(description="Compare families of generative models in the browser.")
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--share", action="store_true", help="make a public link through gradio's servers")
    try:
        device.pick()
        launch(parser.parse_args())
    except (OSError, OverflowError, ValueError) as error:  # a port in use, a device that is not there
        parser.error(str(error))


if __name__ == "__main__":
    main()
