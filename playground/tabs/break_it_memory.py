"""What a reloaded Break it tab comes back to: how far each experiment is, by the id of its training."""

import threading
from collections import OrderedDict

from playground import jobs
from playground.job import JobView
from playground.tabs.break_it_panel import Progress
from playground.validation import InvalidInput

REMEMBER = "(id) => { sessionStorage.setItem('playground-break-it', id || ''); }"
RECALL = "() => [sessionStorage.getItem('playground-break-it') || '']"
MAX_KEPT = 200  # experiments, the latest

_KEPT: OrderedDict[str, tuple[Progress, bool]] = OrderedDict()
_LEFT: set[str] = set()  # trainings whose watcher is to draw nothing more
_GUARD = threading.Lock()


def keep(progress: Progress, judged: bool) -> Progress:
    """Remember how far an experiment is, and whether there is a verdict on its latest act; returns it."""
    if progress.job:
        with _GUARD:
            _KEPT[progress.job] = progress, judged
            _KEPT.move_to_end(progress.job)
            while len(_KEPT) > MAX_KEPT:
                _KEPT.popitem(last=False)
    return progress


def judged(progress: Progress) -> bool:
    """Whether there is a verdict on its latest act already."""
    with _GUARD:
        return _KEPT.get(progress.job, (progress, False))[1]


def leave(progress: Progress) -> None:
    """The page shows another experiment from now on: who watches this one's training ends without a word."""
    if not judged(progress):  # after a verdict nobody watches
        with _GUARD:
            _LEFT.add(progress.job)


def left(progress: Progress) -> bool:
    """Whether the page has left an experiment; says so once."""
    with _GUARD:
        found = progress.job in _LEFT
        _LEFT.discard(progress.job)
    return found


def recall(job: object, owner: str) -> tuple[Progress, JobView] | None:
    """The experiment of a training and how it stands, handed to a page that comes back; None if gone."""
    with _GUARD:
        found = _KEPT.get(job) if isinstance(job, str) else None
    if found is None:
        return None
    try:
        return found[0], jobs.worker().attach(found[0].job, owner)
    except InvalidInput:
        return None
