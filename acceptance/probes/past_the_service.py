"""What a void by the service cannot show: a second void, a webhook that is refused, a void without `server_url`.

Promises that what goes to the provider past the service is sent once, also when a run is stopped in the middle.
"""

from collections.abc import Iterator

from acceptance import line
from acceptance.probes.holds import Unusable, held, nothing_sent, shows_void, voided_by_service
from acceptance.rows import Finding, judged, not_seen
from acceptance.site import NotGiven, Site
from acceptance.undo import MARK, making
from acceptance.wire import Reply, compact

CYRILLIC_COMMENT = "ї" * 2048


def second_void(site: Site) -> Iterator[Finding]:
    """The voided hold once more, at the provider itself: only where the team allows it."""
    row, order = "provider-second-void", site.hold(0)
    if not site.allowed.second_void:
        raise NotGiven("only with --allow-second-void: the provider might execute it")
    if site.state.noted(order).get("second") == "sent":
        yield not_seen(row, "an earlier run was stopped while it was sent: give a fresh hold as the first one")
        return
    first = voided_by_service(site, order)
    site.until("the first void to be done", lambda: site.line.query(order), shows_void, site.patience.query)
    site.state.note(order, second="sent")
    second = site.line.void(order, first["currency"])
    after = site.line.query(order)
    site.state.note(order, second="answered")
    again, listed = line.succeeded(second, "void"), line.succeeded(after, "void")
    known = (first["answer"].get("provider") or {}).get("operation_id")
    shown = {"answer": line.evidence(second), "voids_listed": len(listed)}
    shown["same_operation"] = any(one.get("operation_id") == known for one in again)
    yield judged(row, not again and len(listed) <= 1, shown)


def again(site: Site) -> Iterator[Finding]:
    """The second hold is voided while receive_webhook may not write: its webhook is answered 500."""
    row, order = "provider-webhook-again", site.hold(1)
    nothing_sent(site, order)
    role = site.functions["receive_webhook"].role.rpartition("/")[2]
    since = site.now()

    def answered() -> list[int]:
        return site.deliveries(order, since)

    with making(site, "deny", role=role):
        deny(site, role, ["dynamodb:PutItem", "dynamodb:UpdateItem"])
        voided_by_service(site, order, quiet=False)
        first, _ = site.until("the webhook", answered, bool, site.patience.webhook)
    if 500 not in first or 200 in first:
        why = "no webhook was answered 500 meanwhile: give another second hold"
        yield not_seen(row, why, {"answered": first})
        return
    refused = len(first)
    repeated = f"the webhook again, after {refused} refusals"
    later, seconds = site.until(repeated, answered, lambda seen: len(seen) > refused, site.patience.again)
    shown = {"answered": later, "seconds": round(seconds, 1)}
    yield judged(row, len(later) == refused, shown, f"observed for {site.patience.again:.0f} s")


def deny(site: Site, role: str, actions: list[str]) -> None:
    """Take rights from a role. Only inside `making`, which gives them back."""
    statement = {"Effect": "Deny", "Action": actions, "Resource": "*"}
    policy = compact({"Version": "2012-10-17", "Statement": [statement]}).decode()
    site.client("iam").put_role_policy(RoleName=role, PolicyName=MARK, PolicyDocument=policy)
    site.wait("for the rights to be gone everywhere", site.patience.rights)


def unnamed(site: Site) -> Iterator[Finding]:
    """The third hold is voided at the provider: no server_url, and the longest comment."""
    order = site.hold(2)
    noted = site.state.noted(order)
    if noted.get("sent", "unnamed") != "unnamed":
        raise Unusable(f"the order {order} was voided by an earlier run: give another third hold")
    if "sent" in noted and "status" not in noted:
        raise Unusable("an earlier run was stopped while it was sent: give another third hold")
    if "status" not in noted:
        currency = str(held(site, order).get("currency"))
        site.state.note(order, sent="unnamed")
        reply = site.line.void(order, currency, comment=CYRILLIC_COMMENT)
        accepted = bool(line.operations(reply, "void"))
        site.state.note(order, status=reply.status, accepted=accepted, shown=line.evidence(reply))
        noted = site.state.noted(order)
    yield judged("provider-comment-limit", noted["accepted"], noted["shown"])
    if not noted["accepted"]:
        yield not_seen("provider-portal-announced", "the void itself was refused", noted["shown"])
        return
    record, seconds = site.until("a record of it", lambda: site.read(order), _is_voided, site.patience.webhook)
    shown = {"status": record.status} | {name: record.document.get(name) for name in ("state", "attempt")}
    yield judged("provider-portal-announced", _is_voided(record), shown | {"seconds": round(seconds, 1)})


def _is_voided(reply: Reply) -> bool:
    return reply.status == 200 and reply.document.get("state") == "voided"
