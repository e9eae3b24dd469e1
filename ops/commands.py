"""What each command about one order, the list and the quarantine does: looks at one place, prints to one screen."""

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ops import api, compare, export, places, quarantine, systems
from ops.places import OpsError, Place
from ops.screen import Screen, clean

Arguments = argparse.Namespace
TITLES = {"unsettled": "unsettled", "review": "in review", "settled": "settled"}
PARTS = ("provider", "history", "reviews", "attempts", "operations", "decisions", "webhooks", "webhooks_truncated")


def list_voids(place: Place, chosen: Arguments, screen: Screen) -> None:
    if chosen.day and chosen.state != "settled":
        raise OpsError("--day is for --state settled")
    day = (chosen.day or _today()) if chosen.state == "settled" else None
    voids = api.list_voids(place, chosen.state, export.day(day).isoformat() if day else None)
    if screen.as_json:
        for void in voids:
            screen.document(void)
        return
    listed, now = list(voids), datetime.now(UTC)
    columns = ["order_id", "state", "reason", "reviews", "age", "resend_allowed", "comment"]
    if chosen.state == "settled":
        columns[4:6] = ["settled_at"]
    if len({void["pos_id"] for void in listed}) > 1:
        columns.append("pos_id")  # the list has the voids of all projects
    rows = [[{**void, **_ages(void, now)}[name] for name in columns] for void in listed]
    if rows:
        screen.table([name.replace("_", " ") for name in columns], rows)
    screen.line(f"{len(rows)} {TITLES[chosen.state]}" + (f" on {day}" if day else ""))


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


def show(place: Place, chosen: Arguments, screen: Screen) -> None:
    _print_void(api.read_void(place, chosen.order), screen)


def refresh(place: Place, chosen: Arguments, screen: Screen) -> None:
    _print_void(api.read_void(place, chosen.order, refresh=True), screen)


def _print_void(void: api.Document, screen: Screen) -> None:
    if screen.as_json:
        screen.document(void)
        return
    screen.heading(f"Order {void['order_id']}")
    screen.fields({name: value for name, value in void.items() if name not in PARTS})
    if void["provider"]:
        screen.heading("As the provider says", above=True)
        screen.fields(void["provider"])
    for name in ("reviews", "decisions", "attempts", "operations"):
        if void[name]:
            screen.heading(name.capitalize(), above=True)
            screen.table([column.replace("_", " ") for column in void[name][0]], [_cells(one) for one in void[name]])
    screen.heading("Timeline", above=True)
    screen.table(("at", "what", "state", "by", "operation"), list(timeline(void)))
    if void["webhooks_truncated"]:
        screen.line("Older webhooks are left out.")


def _cells(one: api.Document) -> list[object]:
    return [", ".join(value) if isinstance(value, list) else value for value in one.values()]


def timeline(void: api.Document) -> Iterator[list[object]]:
    """The record's changes and the webhooks, in the order of our clock; of one moment the webhook is the cause."""
    changes = [(one["at"], 1, ["state", one["state"], one["evidence"], None]) for one in void["history"]]
    webhooks = [
        (one["received_at"], 0, ["webhook", one["status"], one["method"], (one["provider"] or {}).get("operation_id")])
        for one in void["webhooks"]
    ]
    for at, _, what in sorted(changes + webhooks, key=lambda line: line[:2]):
        yield [at, *what]


# ---- beside the provider's own list ----------------------------------------------------------------------------------


def compare_order(place: Place, chosen: Arguments, screen: Screen) -> None:
    record = _record_or_none(place, chosen.order)
    view = _view(place, chosen.order, record)
    if record is None and view.not_found:
        raise OpsError("neither we nor the provider know this order")
    found = compare.differences(record, view)
    if screen.as_json:
        screen.document({
            "order_id": chosen.order,
            "agrees": all(one.kind == compare.DECIDED for one in found),
            "differences": [one.says for one in found],
            "kinds": [one.kind for one in found],
            "known_to_provider": not view.not_found,
            "record": record,
            "operations": [dict(operation.fields) for operation in view.operations],
        })  # fmt: skip
        return
    screen.heading(f"Order {chosen.order}: our record is {record['state'] if record else 'missing'}")
    _print_view(view, screen)
    for says in [one.says for one in found] or ["Both agree."]:
        screen.line(says)


def _view(place: Place, order: str, record: api.Document | None) -> Any:
    variables = places.configuration(place)
    secret, provider = systems.secret(place, variables), systems.provider(variables)
    return compare.ask(secret, provider, order, record["pos_id"] if record else None)


def _print_view(view: Any, screen: Screen) -> None:
    columns = (
        "method",
        "status",
        "amount",
        "currency",
        "operation_id",
        "payment_id",
        "status_code",
        "status_description",
    )
    screen.table(
        [name.replace("_", " ") for name in columns],
        [[operation.fields[name] for name in columns] for operation in view.operations],
    )


def _record_or_none(place: Place, order: str) -> api.Document | None:
    try:
        return api.read_void(place, order)
    except api.NotFound:
        return None


def decide(place: Place, chosen: Arguments, screen: Screen) -> None:
    """Show both sides, ask, and give the service the decision: about the record that was shown, or about none."""
    while True:
        try:
            decided = _ask_and_decide(place, chosen, screen)
        except api.Changed:
            print("The record has changed meanwhile. Once more:", file=sys.stderr)
            continue
        _print_void(decided, screen)
        return


def _ask_and_decide(place: Place, chosen: Arguments, screen: Screen) -> api.Document:
    record = api.read_void(place, chosen.order, refresh=True)
    seen = Screen(out=sys.stderr) if screen.as_json else screen
    _print_void(record, seen)
    seen.heading("The provider's own list, of this minute", above=True)
    try:
        _print_view(_view(place, chosen.order, record), seen)
    except OpsError as error:
        seen.line(f"{error}. That forbids no decision.")
    question = f"Order {chosen.order} in {place.environment}: {chosen.decision}, because: {chosen.note}"
    if not confirmed(question):
        raise OpsError("nothing was decided")
    return api.decide(place, chosen.order, chosen.decision, record["revision"], chosen.note)


def confirmed(question: str) -> bool:
    """Does whoever sits there type yes?"""
    print(f"\n{clean(question)}\nType yes to go on: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == "yes"


# ---- quarantine ------------------------------------------------------------------------------------------------------


def quarantine_list(place: Place, chosen: Arguments, screen: Screen) -> None:
    day = export.day(chosen.date or _today())
    client, where = place.client("dynamodb"), places.storage(place)
    messages = list(quarantine.on_day(client, where.table_name, day))
    if screen.as_json:
        for message in messages:
            screen.document(dict(message))
        return
    columns = ("digest", "received_at", "why", "text")
    if messages:
        screen.table(columns, [[message[name] for name in columns] for message in messages])
    screen.line(f"{len(messages)} in quarantine from {day.isoformat()}")


def quarantine_apply(place: Place, chosen: Arguments, screen: Screen) -> None:
    client, where = place.client("dynamodb"), places.storage(place)
    day = export.day(chosen.date) if chosen.date else None
    message = quarantine.find(client, where.table_name, chosen.digest, day)
    received = quarantine.apply(systems.storage(place), message)
    order = received.operation.order_id if received.operation else None
    state = received.after.state.value if received.after else None
    if screen.as_json:
        document = {"digest": message["digest"], "outcome": received.outcome, "order_id": order, "state": state}
        screen.document(document)
    else:
        screen.line(f"{received.outcome}: order {order}, record {state or 'unchanged'}")


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
