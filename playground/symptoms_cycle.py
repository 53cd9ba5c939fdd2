"""What can be seen in the curves of a training that translates there and back: the coach's rules for it.

As in `playground.symptoms`; the curves are ``cycle_a`` and ``cycle_b``, how far there and back again ends
from the picture, ``loss_g_ab`` and ``loss_g_ba``, (D - 1)^2 of translations, and ``loss_d_a``, ``loss_d_b``.
"""

from playground.symptoms import DOUBT, FALLS, Found, found
from playground.trends import Run

CYCLE = ("cycle_a", "cycle_b")
SIDES = (("loss_g_ab", "loss_d_b"), ("loss_g_ba", "loss_d_a"))  # of each discriminator: who plays against it
REJECTED, CAUGHT = 0.85, 0.03  # a fake that D says 0 of costs G 1, one that D is in doubt about 1/4
RISES = 0.1  # relative change from one stretch to the next: two losses, each noisier than a likelihood


def untied(run: Run) -> Found | None:
    """Nothing asks that a translation leads back."""
    if not run.has(*CYCLE) or run.switches.get("lambda_cycle", 1) > 0:
        return None
    return found(run, "watch", {}, *CYCLE)


def seen_through(run: Run) -> Found | None:
    """A discriminator says 0 of nearly every translation, and knows."""
    for loss_g, loss_d in SIDES:
        if run.has(loss_g, loss_d) and run.now(loss_g) > REJECTED and run.now(loss_d) < CAUGHT:
            limits = {loss_g: f"> {REJECTED:g}", loss_d: f"< {CAUGHT:g}"}
            return found(run, "watch", limits, loss_g, loss_d)
    return None


def losing_the_way(run: Run) -> Found | None:
    """There and back again ends farther from the picture than before, by more than chance."""
    if not run.has(*CYCLE):
        return None
    for name in CYCLE:
        before = run.before(name)
        if run.now(name) > before + max(RISES * before, DOUBT * run.doubt(name)):
            return found(run, "watch", {name: f"> {before:.3g}"}, *CYCLE)
    return None


def returning(run: Run) -> Found | None:
    """There and back again comes closer to the picture."""
    if not run.has(*CYCLE) or losing_the_way(run):
        return None
    before, now = (sum(map(look, CYCLE)) for look in (run.before, run.now))
    if now > (1 - FALLS) * before:
        return None
    return found(run, "good", {name: f"< {run.before(name):.3g}" for name in CYCLE}, *CYCLE)


def returned(run: Run) -> Found | None:
    """There and back again is as close as it was."""
    if not run.has(*CYCLE) or returning(run) or losing_the_way(run):
        return None
    return found(run, "good", {}, *CYCLE)
