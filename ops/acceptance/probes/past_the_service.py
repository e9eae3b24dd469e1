"""What a void by the service cannot show: a second void, a webhook that is refused, a void without `server_url`.

Promises that what goes to the provider past the service is sent once, also when a run is stopped in the middle.
"""

from collections.abc import Iterator

from ops.acceptance import line
from ops.acceptance.probes.holds import KEY, Unusable, held, nothing_sent, shows_void, voided_by_service
from ops.acceptance.rows import Finding, Probe, judged, not_seen
from ops.acceptance.site import NotGiven, Site
from ops.acceptance.undo import MARK, making
from ops.acceptance.wire import Reply, compact

CYRILLIC_COMMENT = "ї" * 2048


def second_void(site: Site) -> Iterator[Finding]:
    """The voided hold once more, at the provider itself: only where the team allows it."""
    row, order = "provider-second-void", site.hold(0)
    if not site.allowed.second_void:
        raise NotGiven("only with --allow-second-void: the provider might execute it")
    noted = site.state.noted(order)
    if noted.get("second") == "sent":
        yield not_seen(row, "an earlier run was stopped while it was sent: give a fresh hold as the first one")
        return
    first = voided_by_service(site, order)
    site.until("the first void to be done", lambda: site.line.query(order), shows_void, site.patience.query)
    site.state.note(order, second="sent")
    second = site.line.void(order, first["currency"])
    after = site.line.query(order)
    site.state.note(order, second="answered")
    again = line.voided(second)
    same = [
        one for one in again if one.get("operation_id") == (first["answer"].get("provider") or {}).get("operation_id")
    ]
    shown = {"answer": line.evidence(second), "voids_listed": len(line.voided(after)), "same_operation": bool(same)}
    yield judged(row, not again and len(line.voided(after)) <= 1, shown)


def again(site: Site) -> Iterator[Finding]:
    """The second hold is voided while receive_webhook may not write: its webhook is answered 500."""
    row, order = "provider-webhook-again", site.hold(1)
    nothing_sent(site, order)
    role = site.functions["receive_webhook"].role.rpartition("/")[2]
    since = site.now()
    with making(site, "deny", role=role):
        deny(site, role, ["dynamodb:PutItem", "dynamodb:UpdateItem"])
        voided_by_service(site, order, quiet=False)
        first, _ = site.until("the webhook", lambda: site.deliveries(order, since), bool, site.patience.webhook)
        refused = len(first)
    shown: dict[str, object] = {"answered": first}
    if 500 not in first or 200 in first:
        yield not_seen(row, "no webhook was answered 500 meanwhile: give another second hold", shown)
        return
    repeated = f"the webhook again, after {refused} refusals"
    later, seconds = site.until(
        repeated, lambda: site.deliveries(order, since), lambda seen: len(seen) > refused, site.patience.again
    )
    shown = {"answered": later, "seconds": round(seconds, 1)}
    yield judged(row, len(later) == refused, shown, f"looked for {site.patience.again:.0f} s")


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
    if noted.get("sent") and noted.get("sent") != "unnamed":
        raise Unusable(f"the order {order} was voided by an earlier run: give another third hold")
    if noted.get("sent") and "status" not in noted:
        raise Unusable("an earlier run was stopped while it was sent: give another third hold")
    if "status" not in noted:
        currency = str(held(site, order).get("currency"))
        site.state.note(order, sent="unnamed")
        reply = site.line.void(order, currency, comment=CYRILLIC_COMMENT)
        accepted = bool(line.of_method(reply, "void"))
        site.state.note(order, status=reply.status, accepted=accepted, shown=line.evidence(reply))
        noted = site.state.noted(order)
    yield judged("provider-comment-limit", noted["accepted"], noted["shown"])
    if not noted["accepted"]:
        yield not_seen("provider-portal-announced", "the void itself was refused", noted["shown"])
        return
    record, seconds = site.until("a record of it", lambda: site.read(order), _is_record, site.patience.webhook)
    document = record.json if _is_record(record) else {}
    shown = {"status": record.status, "state": document.get("state"), "attempt": document.get("attempt")}
    yield judged("provider-portal-announced", _is_record(record), shown | {"seconds": round(seconds, 1)})


def _is_record(reply: Reply) -> bool:
    return reply.status == 200 and isinstance(reply.json, dict) and reply.json.get("state") == "voided"


PROBES = (
    Probe(
        rows=("provider-second-void",),
        run=second_void,
        does="void the first hold a second time at the provider, as --allow-second-void says",
        rights=KEY,
        minutes=0.2,
        hold=0,
    ),
    Probe(
        rows=("provider-webhook-again",),
        run=again,
        does="take the right to write to the table from receive_webhook, void the second hold for good, give the right "
        "back after its first webhook",
        rights=(*KEY, "iam:PutRolePolicy", "iam:DeleteRolePolicy", "apigateway:GET", "logs:FilterLogEvents"),
        minutes=17,
        hold=1,
    ),
    Probe(
        rows=("provider-comment-limit", "provider-portal-announced"),
        run=unnamed,
        does="void the third hold at the provider itself, for good",
        rights=KEY,
        minutes=5,
        hold=2,
    ),
)
