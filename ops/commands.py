"""What the commands about one order and about a list of them do: each looks at one place and prints to one screen."""

import sys
from argparse import Namespace
from datetime import datetime

from ops import api, compare, days
from ops.places import OpsError, Place
from ops.screen import Screen, clean

PARTS = ("provider", "history", "reviews", "attempts", "operations", "decisions", "webhooks", "webhooks_truncated")
LISTED = (
    "method", "status", "amount", "currency", "operation_id", "payment_id", "status_code", "status_description",
)  # fmt: skip
"""Of each operation in the provider's own list."""


def list_voids(place: Place, chosen: Namespace, screen: Screen) -> None:
    if chosen.day and chosen.state != "settled":
        raise OpsError("--day is for --state settled")
    now = days.now()
    day = (days.day(chosen.day) if chosen.day else now.date()).isoformat() if chosen.state == "settled" else None
    found = api.list_voids(place, chosen.state, day)
    if screen.as_json:
        return screen.documents(found)
    voids = [void | _ages(void, now) for void in found]
    since = "settled_at" if day else "age"
    columns = ["order_id", "state", "reason", "reviews", since, *([] if day else ["resend_allowed"]), "comment"]
    if len({void["pos_id"] for void in voids}) > 1:
        columns.append("pos_id")  # the list has the voids of all projects
    what = "in review" if chosen.state == "review" else chosen.state
    return screen.listed(columns, voids, what + (f" on {day}" if day else ""))


def _ages(void: api.Document, now: datetime) -> dict[str, str]:
    """How long it is known, and what must be looked at since when."""
    since = (f"{one['reason']} {age(one['since'], now)}" for one in void["reviews"] if one["read_at"] is None)
    return {"age": age(void["requested_at"] or void["history"][0]["at"], now), "reviews": ", ".join(since)}


def age(at: str, now: datetime) -> str:
    """`5 min`, `3 h` or `12 d`."""
    seconds = max(0, (now - datetime.fromisoformat(at)).total_seconds())
    units = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    size, unit = next(((size, unit) for size, unit in units if seconds >= 2 * size), units[-1])
    return f"{seconds // size:.0f} {unit}"


def show(place: Place, chosen: Namespace, screen: Screen, refresh: bool = False) -> None:
    _print_void(api.read_void(place, chosen.order, refresh), screen)


def _print_void(void: api.Document, screen: Screen) -> None:
    if screen.as_json:
        return screen.document(void)
    screen.heading(f"Order {void['order_id']}")
    screen.fields({name: value for name, value in void.items() if name not in PARTS})
    if void["provider"]:
        screen.heading("As the provider says", above=True)
        screen.fields(void["provider"])
    for name in ("reviews", "decisions", "attempts", "operations"):
        if void[name]:
            screen.heading(name.capitalize(), above=True)
            screen.records(tuple(void[name][0]), void[name])
    screen.heading("Timeline", above=True)
    screen.table(("at", "what", "state", "by", "operation"), timeline(void))
    return screen.line("Older webhooks are left out.") if void["webhooks_truncated"] else None


def timeline(void: api.Document) -> list[list[object]]:
    """The record's changes and the webhooks, in the order of our clock; of one moment the webhook is the cause."""
    lines = [
        *([one["received_at"], "webhook", one["status"], one["method"], (one["provider"] or {}).get("operation_id")]
          for one in void["webhooks"]),
        *([one["at"], "state", one["state"], one["evidence"], None] for one in void["history"]),
    ]  # fmt: skip
    return sorted(lines, key=lambda line: str(line[0]))


# ---- beside the provider's own list ----------------------------------------------------------------------------------


def compare_order(place: Place, chosen: Namespace, screen: Screen) -> None:
    try:
        record = api.read_void(place, chosen.order)
    except api.NotFound:
        record = None
    view = compare.theirs(place)(chosen.order, record["pos_id"] if record else None)
    if record is None and view.not_found:
        raise OpsError("neither we nor the provider know this order")
    found = compare.differences(record, view)
    if screen.as_json:
        return screen.document({
            "order_id": chosen.order,
            "agrees": all(one.kind == compare.DECIDED for one in found),
            "differences": [one.says for one in found],
            "kinds": [one.kind for one in found],
            "known_to_provider": not view.not_found,
            "record": record,
            "operations": [dict(operation.fields) for operation in view.operations],
        })  # fmt: skip
    screen.heading(f"Order {chosen.order}: our record is {record['state'] if record else 'missing'}")
    screen.records(LISTED, (operation.fields for operation in view.operations))
    for says in [one.says for one in found] or ["Both agree."]:
        screen.line(says)
    return None


def decide(place: Place, chosen: Namespace, screen: Screen) -> None:
    """Show both sides, ask, and give the service the decision: about the record that was shown, or about none."""
    while True:
        try:
            return _print_void(_ask_and_decide(place, chosen, screen), screen)
        except api.Changed:
            print("The record has changed meanwhile. Once more:", file=sys.stderr)


def _ask_and_decide(place: Place, chosen: Namespace, screen: Screen) -> api.Document:
    record = api.read_void(place, chosen.order, refresh=True)
    seen = Screen(out=sys.stderr) if screen.as_json else screen
    _print_void(record, seen)
    seen.heading("The provider's own list, of this minute", above=True)
    try:
        view = compare.theirs(place)(chosen.order, record["pos_id"])
        seen.records(LISTED, (operation.fields for operation in view.operations))
    except OpsError as error:
        seen.line(f"{error}. That forbids no decision.")
    confirm(place, chosen, chosen.decision, "nothing was decided")
    return api.decide(place, chosen.order, chosen.decision, record["revision"], chosen.note)


def confirm(place: Place, chosen: Namespace, what: str, otherwise: str) -> None:
    """Go on only if whoever sits there types yes. Raises OpsError, which says what was not done."""
    question = f"Order {chosen.order} in {place.environment}: {what}, because: {chosen.note}"
    print(f"\n{clean(question)}\nType yes to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != "yes":
        raise OpsError(otherwise)
