"""The generative playground: every family of generative model, on the same data, with the same seed."""

__version__ = "0.1.0"
