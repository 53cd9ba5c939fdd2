"""Likelihood: who can say how probable a picture is, and how; the sections are ``likelihood_*.py``."""

from playground.tabs import common, frame, likelihood_api

ORDER = 50
TITLE = "likelihood.title"


def build() -> None:
    """Lay the tab out."""
    frame.build("likelihood", "likelihood.intro")
    common.api(likelihood_api.likelihood, "likelihood")
    common.api(likelihood_api.complete, "complete")
