"""What the command line and the README say of the models: lists, tables and lines from specs and cards."""

from typing import Any

from playground import hub, registry, scoring, verdict
from playground.locale import text
from playground.schedules import switches_of
from playground.spec import Control
from playground.training import TrainEvent

BEGIN = "<!-- models: `python -m playground list --readme README.md` writes this table from the cards -->"
END = "<!-- end of models -->"
ANSWER = (
    "<!-- answer: `python -m playground list --readme README.md` writes these sentences from the cards -->"
)
ANSWERED = "<!-- end of answer -->"
LIKELIHOODS = {  # a column for each of scoring.GROUPS, for their numbers do not compare
    "binary": "nats, 2 grey levels",
    "discrete": "bits/dim, 256 grey levels",
    "dequantised": "bits/dim, dequantised",
}
SHARES = ("precision", "recall", "coverage")


def rows() -> list[dict[str, Any]]:
    """One mapping a model, ready for JSON; without weights the metrics are empty."""
    return [_row(name) for name in registry.names()]


def everything() -> list[dict[str, Any]]:
    """`rows`, then the published models with the same keys: `weights` once they are here, no `parameters`."""
    known = ((name, hub.here(registry.spec(name))) for name in registry.published())
    return rows() + [facts(name) | {"parameters": None, "weights": here} for name, here in known]


def facts(name: str) -> dict[str, Any]:
    """What every list says of a model."""
    spec = registry.spec(name)
    return {
        "name": name,
        "title": spec.title,
        "family": spec.family,
        "year": spec.year,
        "paper": spec.paper,
        "dataset": spec.dataset,
        "conditional": spec.conditional,
        "capabilities": list(spec.capabilities),
        "metrics": registry.card(name).get("metrics", {}) if registry.shipped(name) else {},
        "published": elsewhere(name),
    }


def described(name: str) -> dict[str, Any]:
    """A model as the web API lists it: its facts, its controls and the switches of its training."""
    spec = registry.spec(name)
    switches = [_knob(s) | {"live": s.live} for s in switches_of(spec, spec.recipe)]
    knobs = {"controls": [_knob(control) for control in spec.controls], "switches": switches}
    return facts(name) | {"shipped": registry.shipped(name)} | knobs


def _knob(c: Control) -> dict[str, Any]:
    return {
        "key": c.key, "label": c.label.en, "kind": c.kind, "default": c.default, "minimum": c.minimum,
        "maximum": c.maximum, "step": c.step, "choices": list(c.choices),
    }  # fmt: skip


def elsewhere(name: str) -> dict[str, Any] | None:
    """Where a model that others published comes from, and what it takes to have it; None for one of ours."""
    spec = registry.spec(name)
    if spec.published is None:
        return None
    source = spec.published
    told = {"page": source.page, "revision": source.revision, "licence": source.licence}
    return told | {"megabytes": hub.megabytes(spec), "here": hub.here(spec)}


def _row(name: str) -> dict[str, Any]:
    if registry.shipped(name):
        num_parameters = registry.card(name)["num_parameters"]
    else:
        num_parameters = sum(parameter.numel() for parameter in registry.build(name).parameters())
    return facts(name) | {"parameters": num_parameters, "weights": registry.shipped(name)}


def plain() -> str:
    """The list for a terminal."""
    head = ("NAME", "FAMILY", "DATASET", "LABELS", "PARAMETERS", "CAPABILITIES", "METRICS")
    lines = [(*head, *(f"LIKELIHOOD, {title.upper()}" for title in LIKELIHOODS.values()))]
    for row in rows():
        labels = "yes" if row["conditional"] else "no"
        unmeasured = "not measured" if row["weights"] else "no weights yet"
        numbers = "; ".join(headlines(row["metrics"])) if row["metrics"] else unmeasured
        capabilities = ",".join(row["capabilities"])
        told = (row["name"], row["family"], row["dataset"], labels, f"{row['parameters']:,}", capabilities)
        lines.append((*told, numbers, *likelihoods(row["metrics"])))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    ours = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n".join([*ours, "", "Published by others, downloaded on first use:", *_elsewhere()])


def _elsewhere() -> list[str]:
    """A line for each published model: what it is, what it weighs, its licence and where it lies."""
    lines = []
    for name in registry.published():
        told = elsewhere(name) or {}
        size = f"{told['megabytes']} MB" + (", here" if told["here"] else "")
        lines.append(f"{name}  {registry.spec(name).title}  {size}  {told['licence']}  {told['page']}")
    return lines


def multiple(value: float) -> str:
    """How many times something is something else, in three digits: 4.13, 1,220."""
    return f"{float(f'{value:.3g}'):,g}"


def headlines(metrics: dict[str, dict[str, Any]]) -> list[str]:
    """The numbers a model is known by but for its likelihood, each with the number of samples behind it.

    Args:
        metrics: as on a card.
    """
    found = []
    if entry := metrics.get("fid"):
        times = f" = {multiple(entry['times_floor'])} x floor" if "times_floor" in entry else ""
        found.append(f"FID {entry['value']:.3g}{times} (N = {entry['num']:,})")
    if shares := [f"{key} {metrics[key]['value']:.3f}" for key in SHARES if key in metrics]:
        found.append(f"{', '.join(shares)} (N = {metrics[SHARES[-1]]['num']:,})")
    for direction in ("ab", "ba"):
        if entry := metrics.get(f"l1_{direction}"):
            lower = f"{abs(entry['lower']):.0%} {'lower' if entry['lower'] >= 0 else 'higher'}"
            found.append(
                f"L1 {direction} {entry['value']:.3f}, {lower} than doing nothing (N = {entry['num']:,})"
            )
    for key, words in (("label_accuracy", "asked label right"), ("accuracy", "accuracy")):
        if entry := metrics.get(key):
            found.append(f"{words} {entry['value']:.2%} (N = {entry['num']:,})")
    if entry := metrics.get("wording_category"):
        real = f"{entry['real']:.1%} of real ones"
        found.append(f"asked category seen {entry['value']:.1%}, {real} (N = {entry['num']:,})")
    if entry := metrics.get("reconstruction_psnr"):
        found.append(f"reconstruction {entry['value']:.1f} dB (N = {entry['num']:,})")
    return found


def likelihoods(metrics: dict[str, dict[str, Any]]) -> list[str]:
    """A model's likelihood in the column of its group, by `LIKELIHOODS`, with its kind; the others are empty.

    Args:
        metrics: as on a card.
    """
    cells = dict.fromkeys(LIKELIHOODS, "")
    for measured in scoring.of_card(metrics)[:1]:
        kind = {"dequantised": "exact density"}.get(measured.kind, measured.kind)
        if measured.num_latents > 1:
            kind = f"{kind} (IWAE-{measured.num_latents})"
        if measured.given_label:
            kind = f"{kind} given the label"
        cells[measured.group] = f"{measured.value:.{measured.digits}f}, {kind}, N = {measured.num:,}"
    return list(cells.values())


def table() -> str:
    """The README's table of models, in Markdown."""
    kinds = " | ".join(LIKELIHOODS.values())
    lines = [
        f"| model | name | year | paper | parameters | metrics | {kinds} | ms per image (64 at once) |",
        f"| --- | --- | --- | --- | ---: | --- | {'--- | ' * len(LIKELIHOODS)}---: |",
    ]
    for row in rows():
        paper = f"[{row['paper']}](https://arxiv.org/abs/{row['paper']})" if row["paper"] else ""
        speed = row["metrics"].get("ms_per_image_64", {}).get("value")
        cells = (
            row["title"], f"`{row['name']}`", str(row["year"]), paper, f"{row['parameters']:,}",
            "; ".join(headlines(row["metrics"])), *likelihoods(row["metrics"]),
            "" if speed is None else f"{speed:.3g}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def conclusion() -> str:
    """What each family buys, in Markdown: the answer, a line a family, and what the numbers are."""
    answer = verdict.answer()
    lines = [
        f"- **{f.family.en[0].upper()}{f.family.en[1:]}** ({f.spec.title}). {f.said.en}"
        for f in verdict.findings()
    ]
    head = [] if answer is None else [answer.en, ""]
    return "\n".join(["", *head, *lines, "", text("verdict.note"), ""])


def with_tables(content: str) -> str:
    """A README with what stands between its two pairs of markers made anew.

    Raises:
        ValueError: if the markers are not there.
    """
    for begin, made, end in ((BEGIN, table, END), (ANSWER, conclusion, ANSWERED)):
        head, found, rest = content.partition(begin)
        _, closed, tail = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"The file has nothing to rewrite: it needs the lines '{begin}' and '{end}'.")
        content = f"{head}{begin}\n{made()}\n{end}{tail}"
    return content


def training_line(event: TrainEvent) -> str:
    """One update of a training as a line."""
    losses = "  ".join(f"{name} {value:.4g}" for name, value in event.metrics.items())
    pace = f"{event.images_per_second:,.0f} images/s"
    return f"step {event.step:,} of {event.num_steps:,}  {event.progress:.1%}  {pace}  {losses}"


def metrics_block(name: str, metrics: dict[str, dict[str, Any]]) -> str:
    """All numbers of a model, a line each."""
    lines = [name]
    for key, entry in metrics.items():
        more = ", ".join(f"{k} {v}" for k, v in entry.items() if k not in ("value", "num"))
        lines.append(
            f"  {key:<20} {entry['value']:<10g} N = {entry['num']:,}" + (f"  ({more})" if more else "")
        )
    return "\n".join(lines)
