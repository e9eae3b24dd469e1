"""What of the facts decides anything: states that differ in nothing else are one."""

from payments.facts import DAY_MS, Asked, End, Evidence, Facts, Looked, Shown, Status, Word


def canonical(facts: Facts) -> Facts:
    """The facts without what no promise and no further step depends on: a test compares it with the whole facts."""
    # What an attempt came to counts, not when; and a "not voided" no longer once another attempt is made.
    attempts = [each._replace(ended_at=0, told=each.told and each.told._replace(at=None)) for each in facts.attempts]
    operations = tuple(_shown(each, facts.listed) for each in facts.operations)
    if len(facts.voids) == len(operations) and any(each.status is Status.SUCCESS for each in operations):
        # A success is above all and stays: left is whose it is, and what its attempt and those since came to.
        left = [each._replace(at=0, by=frozenset()) for each in operations if each.status is not Status.FAILED]
        return Facts(tuple(attempts), tuple(left), known_since=facts.known_since, held=True)
    stands = facts.word is not None and (facts.word.word is Word.VOIDED or facts.ruled_by is not None)
    return facts._replace(
        attempts=tuple(attempts), operations=operations, looked=_looked(facts), asked=Asked(),
        clear=facts.clear - facts.clear % DAY_MS, decisions=facts.decisions[-1:] if stands else (),
    )  # fmt: skip


def _looked(facts: Facts) -> Looked:
    """Of the moments before the end of the window, and of those that explain a refusal, only whether there were any."""
    found = facts.looked._asdict() | {"concluded": min(facts.looked.concluded, 1)}
    if facts.newest is None or facts.newest.end is not End.NOT_FOUND:
        found |= {"explained": min(facts.looked.explained, 1), "not_found": 0}
    early = {name: 1 for name in ("listed", "alone") if 0 < found[name] < facts.window_until}
    return Looked(**found | early)


def _shown(shown: Shown, listed: int) -> Shown:
    """When a void was shown does not matter once it is finished; else the day, and whether the newest list shows it.

    Phases are minutes or days apart, and lists may lag an hour.
    """
    by = frozenset(each if each is Evidence.QUERY else Evidence.ANSWER for each in shown.by)
    shown = shown._replace(fields=None, undocumented_at=0, first=0, contradicted=False, by=by)
    if shown.method != "void":
        return shown
    if shown.status in (Status.FAILED, Status.SUCCESS):
        return shown._replace(at=0, failed_at=0, ruled_out=0)
    newest = shown.status is Status.UNDER_WAY and shown.listed and shown.at == listed
    return shown._replace(failed_at=min(shown.failed_at, 1), at=shown.at if newest else shown.at - shown.at % DAY_MS)
