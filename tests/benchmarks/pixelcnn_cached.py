"""Writing PixelCNN pictures with cached features against the naive loop of 784 whole passes, in turns.

Every pass of the naive loop costs the same, so only its first `--pixels` are timed and the time is scaled
up; `--pixels 784` times all. Whether both draw the same pictures is checked on all pixels: one pass over the
finished pictures gives the logits that the naive loop has at each pixel. The target is 150 at 64 pictures.

Run: python tests/benchmarks/pixelcnn_cached.py [--models pixelcnn pixelcnn_binary] [--num 64] [--pixels 8]
"""

import argparse
import time

import torch
from timing import in_turns, ratio_quartiles, report

from playground import device, registry
from playground.models._pixelcnn_cache import draw, write_naively
from playground.models.pixelcnn import PixelCNN


class Contest:
    """One model, shipped or else untrained, and both ways to write the same pictures with it."""

    def __init__(self, name: str, num: int, pixels: int) -> None:
        """Draw the labels and the uniform numbers that `PixelCNN.sample` draws from seed 0."""
        where = device.pick()
        self.shipped, self.pixels = registry.shipped(name), pixels
        self.model: PixelCNN = registry.load(name) if self.shipped else registry.build(name).eval().to(where)
        self.labels = torch.arange(num, device=where) % 10
        side = self.model.config.height, self.model.config.width
        self.uniforms = torch.rand(num, *side, generator=torch.Generator().manual_seed(0)).to(where)

    def cached(self) -> float:
        """Images/s."""
        start = time.perf_counter()
        generator = torch.Generator().manual_seed(0)
        for moment in self.model.sample(len(self.labels), labels=self.labels, generator=generator):
            self.pictures = moment.x
        self.pictures.cpu()
        return len(self.labels) / (time.perf_counter() - start)

    def naive(self) -> float:
        """Images/s, scaled from the first pixels."""
        start = time.perf_counter()
        write_naively(self.model, self.labels, self.uniforms, stop=self.pixels).cpu()
        seconds = (time.perf_counter() - start) * self.uniforms[0].numel() / self.pixels
        return len(self.labels) / seconds

    @torch.no_grad()
    def differences(self) -> int:
        """Pixels at which the naive loop would draw another level than the cached one did."""
        logits = self.model(self.pictures, self.labels).permute(0, 2, 3, 1).flatten(0, 2)
        return int((draw(logits, self.uniforms.flatten(), 1.0) != self.pictures.flatten()).sum())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["pixelcnn", "pixelcnn_binary"])
    parser.add_argument("--num", type=int, default=64)
    parser.add_argument("--pixels", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    for name in arguments.models:
        contest = Contest(name, arguments.num, arguments.pixels)
        found = in_turns({"naive": contest.naive, "cached": contest.cached}, arguments.rounds)
        weights = "shipped" if contest.shipped else "untrained"
        report(f"{name}, {weights} weights, {arguments.num} pictures", found, "images/s", "naive")
        print(f"  naive: {arguments.pixels} of {contest.uniforms[0].numel()} pixels timed, scaled up")
        ratio = ratio_quartiles(found["cached"], found["naive"])[1]
        print(f"  cached is {ratio:.0f} times as fast; pixels that differ: {contest.differences()}")


if __name__ == "__main__":
    main()
