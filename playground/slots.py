"""Which moments of a long way a film keeps."""


class Slots:
    """Picks at most `limit` moments of a way, evenly spread, the first and the last one among them.

    Moments come in order; a way may leave some out.
    """

    def __init__(self, limit: int) -> None:
        """Nothing is picked yet.

        Args:
            limit: 2 or more; a way of so many moments is kept whole.

        Raises:
            ValueError: if it is less.
        """
        if limit < 2:
            raise ValueError(f"A film needs room for its first and its last moment; got a limit of {limit}.")
        self.limit = limit
        self._slot = -1

    def wants(self, step: int, num_steps: int) -> bool:
        """Whether to keep a moment, step 1 to num_steps: the first of its slot, and the last in any case."""
        slot = (step - 1) * (self.limit - 1) // max(num_steps - 1, 1)
        if slot <= self._slot and step < num_steps:
            return False
        self._slot = slot
        return True
