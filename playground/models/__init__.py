"""One file a model: network, loss, sampling, and its `ModelSpec`s in ``SPECS`` at the end."""
