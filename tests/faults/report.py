"""docs/faults.md: the figures of a campaign, the guards, and the baseline beside them."""

from tests.faults import explorer
from tests.faults.campaign import Done, total
from tests.faults.invariants.harm import Harm

INTRODUCTION = """# The fault simulator's figures

Written by `make faults`; not by hand. The four real handlers run in one process on a virtual clock, with API Gateway's \
events. Below them are a table and a secret in memory, and a network whose provider speaks bytes: status line, headers and \
body as on the wire, through http.client and urllib3, with every status, shape and cut that it or a load balancer may show. \
They are interrupted, interleaved and harmed at each call of the outside; their instances, with all caches, live over many \
invocations.

A schedule is its list of deviations from the ordinary course. `exhaustive` means every schedule with at most two deviations \
(three in the small configurations; `permutations`: every order of the webhooks, once or twice each), `random` draws from \
the seed. At rest each record is compared with the provider's ledger, before and after a refresh; everything that is open or \
for a person must be in a list of the API and must have been counted by the metric that its alarm stands on; and a merchant \
who follows our documentation to the letter, whichever key he begins with, must get a hold released that still stands.

The guard "a repetition is applied again" of the first edition is gone: a webhook and what it proves are one write, so \
"the first delivery died in between" cannot happen.
"""
WHAT_IS_ASSUMED = """## What the provider is trusted with

A harness can only be as hard as what it promises the code. This one promises: a POST lands within two minutes of leaving or \
never, except in `unbounded` and `late arrivals`; a query lags at most 15 seconds, and minutes only behind what a genuine \
webhook has told; an answer in the documented shape is true; a key that proves a webhook is the project's.
"""


def report(done: list[Done], seed: str, seconds: float) -> str:
    """The document."""
    figures, other = total(done, "every", "random"), total(done, "baseline")
    hunted = sorted((each for each in done if each.job.kind == "guard"), key=lambda each: each.job.number)
    made = sorted((each for each in done if each.job.kind == "mistake"), key=lambda each: each.job.number)
    partly = sorted(each.job.name for each in done if each.job.kind == "every" and not each.whole)
    lines = [
        INTRODUCTION,
        f"Seed `{seed}`; {seconds:.0f} s. One schedule again, step by step: "
        "`make faults REPLAY='executes:3=1'`; with `WITHOUT='intent before send'` without that guard.",
        "",
        "| | the void service | idempotency decorator around the provider call |",
        "|---|--:|--:|",
        f"| schedules, exhaustive | {figures.exhaustive:,} | {other.exhaustive:,} |",
        f"| schedules, random | {figures.random:,} | {other.random:,} |",
        f"| faults injected | {figures.faults.total():,} | {other.faults.total():,} |",
        f"| deaths of a function | {figures.deaths.total():,} | {other.deaths.total():,} |",
        *(f"| schedules with: {harm} | {figures.harm[harm]:,} | {other.harm[harm]:,} |" for harm in Harm),
        f"| guards whose removal is noticed | {_found(hunted)} of {len(hunted)} | |",
        f"| mistakes that are noticed | {_found(made)} of {len(made)} | |",
        "",
    ]
    if partly:
        lines += [f"Explored within their budget, and not whole: {', '.join(partly)}.", ""]
    lines += _findings("Violations", figures)
    lines += [WHAT_IS_ASSUMED]
    lines += _hunted("Guards", "taken out", hunted)
    lines += _hunted("Mistakes", "made", made)
    lines += _findings("The baseline's violations", other)
    lines += _faults(figures)
    return "\n".join(lines) + "\n"


def _found(hunted: list[Done]) -> int:
    return sum(each.found is not None for each in hunted)


def _hunted(title: str, what: str, hunted: list[Done]) -> list[str]:
    rows = [
        f"| {each.job.name} | {_cell(each.found[0])} | `{each.found[1]}` |"
        if each.found
        else f"| {each.job.name} | NOT NOTICED | |"
        for each in hunted
    ]
    return [f"## {title}", "", f"| {what} | then | shortest schedule found |", "|---|---|---|", *rows, ""]


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("<", "").replace(">", "")


def _findings(title: str, figures: explorer.Figures) -> list[str]:
    if not figures.first:
        return []
    rows = [f"| {_cell(what)} | `{schedule}` |" for what, schedule in sorted(figures.first.items())]
    return [f"## {title}", "", "| violation | shortest schedule found |", "|---|---|", *rows, ""]


def _faults(figures: explorer.Figures) -> list[str]:
    lines = ["## Faults and deaths", "", "| fault | times | settled after, p50 | p99 |", "|---|--:|--:|--:|"]
    for kind, times in sorted(figures.settle_ms.items()):
        p50, p99 = explorer.percentile(times, 0.5), explorer.percentile(times, 0.99)
        lines.append(f"| {kind} | {figures.faults[kind] or times.total():,} | {_span(p50)} | {_span(p99)} |")
    lines += ["", "| death | times |", "|---|--:|"]
    return lines + [f"| {point} | {count:,} |" for point, count in sorted(figures.deaths.items())]


def _span(ms: int) -> str:
    """Virtual time as a person reads it."""
    for unit, length in (("days", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if ms >= length:
            return f"{ms / length:.1f} {unit}"
    return f"{ms / 1000:g} s"
