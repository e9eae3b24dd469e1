"""What of the facts decides anything: states that differ in nothing else are one."""

from payments.facts import Asked, Evidence, Facts, Looked, Shown, Status


def canonical(facts: Facts) -> Facts:
    """The facts without what no promise and no further step depends on: a test compares it with the whole facts."""
    # What an attempt came to counts, not when; the words of all but the newest decision do not.
    attempts = [each._replace(ended_at=0, told=each.told and each.told._replace(at=None)) for each in facts.attempts]
    operations = tuple(map(_shown, facts.operations))
    facts = facts._replace(
        attempts=tuple(attempts), operations=operations, decisions=facts.decisions[-1:], asked=Asked()
    )
    executed = any(each.status is Status.SUCCESS for each in facts.voids)
    if not executed or len(facts.voids) < len(operations):
        return facts
    # A success is above all and stays: left is whose it is, and what its attempt and those since came to.
    left = [each._replace(at=0, failed_at=0, by=frozenset()) for each in operations if each.status is not Status.FAILED]
    return facts._replace(
        operations=tuple(left), decisions=(), looked=Looked(), listed=0, clear=0, held=True, captured=False
    )


def _shown(shown: Shown) -> Shown:
    final = shown.method == "void" and shown.status in (Status.FAILED, Status.SUCCESS)
    return shown._replace(
        fields=None, undocumented_at=0, first=0, contradicted=False,
        by=frozenset(each if each is Evidence.QUERY else Evidence.ANSWER for each in shown.by),
        # When a finished void was shown does not matter, and of a webhook that said "failed" only that there was one.
        at=0 if final else shown.at, failed_at=0 if final else min(shown.failed_at, 1),
    )  # fmt: skip
