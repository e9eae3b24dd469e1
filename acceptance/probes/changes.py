"""What changes the account for minutes, and the way back.

Promises to show, keep or change no value of the secret, and to touch only read_voids, whose answers nobody books. The
function of a few minutes has its role, only answers, and is called by nobody but you: its API demands a signature.
"""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from acceptance import wire
from acceptance.probes.holds import denied
from acceptance.rows import FACTS, Finding, judged, not_seen
from acceptance.site import API, Site
from acceptance.undo import MARK, making, play, stages
from acceptance.wire import NoAnswer, Reply
from ops.places import OpsError

CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
ALIAS, SHARE, READS = "live", 0.1, 100
LETTERS = 'a"b\\é'
ATTEMPTS, AT_ONCE = 3, 50


def alarm(site: Site) -> Iterator[Finding]:
    # This one takes no release back, and nothing else follows from it. Ten seconds: clocks differ.
    name, since = f"{site.place.stack} Void corrected", site.now() - timedelta(seconds=10)
    alarms = site.ask("cloudwatch", "describe_alarms", AlarmNames=[name])["MetricAlarms"]
    if not alarms:
        raise OpsError(f"there is no alarm {name}: is the stack another version?")

    def actions() -> list[dict[str, str]]:
        return list(play(site, "actions", {"alarm": name, "since": since})["actions"])

    with making(site, "alarm", alarm=name, state=alarms[0]["StateValue"]):
        play(site, "ring", {"alarm": name})
        history, _ = site.until("the alarm's history", actions, bool, site.patience.history)
    if not history:
        raise OpsError("its history names no action yet")
    summary, data = history[0].get("HistorySummary", ""), dict[str, Any]()
    with suppress(ValueError):
        data = json.loads(history[0].get("HistoryData", "{}"))
    done = data.get("actionState") == "Succeeded" or summary.startswith("Successfully executed")
    yield judged("aws-alarm-delivers", done, {"summary": summary, "error": str(data.get("error") or "")})


def rotation(site: Site) -> Iterator[Finding]:
    """Put the same value once more, and move both stages back; `previous` is labelled, so that it cannot be deleted."""
    secret = site.variables()["SECRET_ID"]
    before = stages(site, secret)
    current, previous = before[CURRENT], before.get(PREVIOUS, "")

    def value(stage: str) -> str:
        return str(site.ask("secretsmanager", "get_secret_value", SecretId=secret, VersionStage=stage)["SecretString"])

    same = value(CURRENT)
    with making(site, "secret", secret=secret, current=current, previous=previous):
        if previous:
            play(site, "stage", {"secret": secret, "stage": MARK, "from": None, "to": previous})
        fresh = site.ask("secretsmanager", "put_secret_value", SecretId=secret, SecretString=same)["VersionId"]
        during = stages(site, secret)
        shown = {
            "new_value_is_current": during.get(CURRENT) == fresh,
            "old_value_is_previous": during.get(PREVIOUS) == current,
            "both_can_be_read": [value(CURRENT), value(PREVIOUS)] == [same, same],
            "service_answers": not _failed(site, 1),
        }
    shown["both_are_back"] = stages(site, secret) == before
    yield judged("aws-rotation", all(shown.values()), shown)


def release(site: Site) -> Iterator[Finding]:
    function = site.functions["read_voids"]["FunctionName"]
    before = play(site, "alias", {"function": function, "alias": ALIAS})
    if before["weights"]:
        raise OpsError("a release of read_voids is under way: wait for its end")
    described = site.ask("lambda", "get_function_configuration", FunctionName=function).get("Description", "")
    what = {"function": function, "alias": ALIAS, "version": before["version"]}
    with making(site, "release", **what, description=described):
        play(site, "describe", what | {"description": MARK})
        after = play(site, "publish", what)["after"]
        play(site, "share", what | {"weights": {after: SHARE}})
        failed, since = _failed(site, READS), round((site.now() - timedelta(minutes=15)).timestamp() * 1000)
        known = {"group": site.log_group("read_voids"), "after": after, "since": since}
        served, _ = site.until("its log", lambda: play(site, "served", known)["served"], bool, site.patience.release)
        shown = {"reads": READS, "failed": failed, "new_version_served": bool(served)}
        yield judged("aws-release", served and not failed, shown)
        play(site, "share", what | {"weights": {}})
        failed, back = _failed(site, READS // 4), play(site, "alias", what) == before
        yield judged("aws-way-back", back and not failed, {"alias_is_back": back, "failed": failed})


def _failed(site: Site, count: int) -> int:
    """Reads of an order that nobody has; how many were not answered 404."""
    return sum(site.read(site.nobody()).status != 404 for _ in range(count))


# ---- events ----------------------------------------------------------------------------------------------------------


@contextmanager
def listening(site: Site) -> Iterator[str]:
    """A queue behind a rule of the bus; its address. Gone afterwards."""
    # Another name each time: SQS lets nobody use the name of a deleted queue for a minute.
    queue, bus = f"{site.temporary}-{site.now():%H%M%S}", site.output("OutcomeBus")
    with making(site, "queue", queue=queue), making(site, "rule", rule=site.temporary, bus=bus):
        url = play(site, "listen", {"queue": queue, "bus": bus})["url"]
        site.wait("the rule to work", site.patience.rights)
        yield url


def letters(site: Site) -> Iterator[Finding]:
    """A void that the provider must refuse as unknown is settled, too, so its event leaves."""
    order = site.nobody(LETTERS)
    with listening(site) as url:
        _refused_void(site, order, "first")
        found, seconds = site.until("the event", lambda: _received(site, url, order), bool, site.patience.event)
    shown: dict[str, object] = {"seconds": round(seconds, 1)}
    shown |= {"order_id": found[0]["order_id"]} if found else _undelivered(site)
    yield judged("aws-pipe-letters", found, shown)


def order_kept(site: Site) -> Iterator[Finding]:
    """Three attempts while the pipe may not write to the bus; then it may again."""
    row, order, role = "aws-pipe-order", site.nobody(), site.resource("AWS::IAM::Role", "EventsPipeRole")
    with listening(site) as url:
        with denied(site, role, "events:PutEvents"):
            for number in range(ATTEMPTS):
                _refused_void(site, order, str(number))
            site.wait("the end of an outage", site.patience.outage)
            early = _received(site, url, order)
        if early:
            yield not_seen(row, "the bus was not out of reach: IAM had not taken effect", {"events": len(early)})
            return
        versions: dict[int, None] = {}  # in the order of their first arrival

        def more() -> bool:
            versions.update(dict.fromkeys(int(one["version"]) for one in _received(site, url, order)))
            return len(versions) >= ATTEMPTS

        came, seconds = site.until("the events", more, bool, site.patience.event * 2)
    shown = {"versions": list(versions), "seconds_after_the_outage": round(seconds, 1)}
    if came:
        yield judged(row, list(versions) == sorted(versions), shown)
    else:
        yield not_seen(row, f"{len(versions)} of {ATTEMPTS} events came", shown | _undelivered(site))


def _refused_void(site: Site, order: str, key: str) -> None:
    """An attempt that ends at once, because the provider does not know the order. Raises OpsError."""
    site.refuse_a_live_project()
    reply = site.submit(order, "UAH", f"acceptance-{key}")
    state = (reply.document.get("void") or reply.document).get("state")
    if state not in ("failed", "voided"):
        raise OpsError(f"the void of an order that nobody has did not end: {reply.status} {reply.problem or state}")


def _received(site: Site, url: str, order: str) -> list[dict[str, Any]]:
    """The details of events about this order; each message is taken once."""
    found = []
    for message in play(site, "receive", {"url": url})["messages"] or ():
        site.ask("sqs", "delete_message", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        found.append(json.loads(message["Body"]).get("detail", {}))
    return [one for one in found if order in (one.get("order_id"), unquote(str(one.get("order_id"))))]


def _undelivered(site: Site) -> dict[str, int]:
    url = site.resource("AWS::SQS::Queue", "EventsDeadLetters")
    return {"undelivered": int(play(site, "undelivered", {"url": url})["undelivered"])}


# ---- a function and an API -------------------------------------------------------------------------------------------


@contextmanager
def scratch(site: Site) -> Iterator[tuple[str, Callable[[str], Reply]]]:
    """Make both, wait until the API answers, remove both; the API's id and a way to call it."""
    name, role, archive = site.temporary, site.functions["read_voids"]["Role"], io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:
        file = zipfile.ZipInfo("index.py")
        file.external_attr = 0o644 << 16  # another user than this one reads it
        content.writestr(file, FACTS["scratch"]["code"])
    known = {"archive": archive.getvalue(), "role": role, "partition": role.split(":")[1], "account": site.account}
    with making(site, "function", function=name), making(site, "api", api=name):
        api_id = play(site, "scratch", known | {"ours": site.resource(API)})["api"]
        where = f"https://{api_id}.execute-api.{site.place.region}.amazonaws.com"

        def get(query: str) -> Reply:
            target = f"/v1/{query}"
            return wire.send(where, "GET", target, site.signer().headers("GET", where + target, {}, b""))

        def answers() -> bool:
            with suppress(NoAnswer):  # its name is not known everywhere
                return get("").status == 200
            return False

        if not site.until("the new API to answer", answers, bool, site.patience.release)[0]:
            raise OpsError("the API made for it did not answer 200 in time")
        yield api_id, get


def results(site: Site) -> Iterator[Finding]:
    """Two results that no function of ours returns, then fifty requests where one a second may pass."""
    with scratch(site) as (api_id, get):
        number, member = get("?case=number"), get("?case=member")
        header = number.headers.get("x-number")
        shown = {"number": {"status": number.status, "header": header}, "member": {"status": member.status}}
        yield judged("aws-function-result", (number.status, header, member.status) == (200, "7", 502), shown)
        play(site, "throttle", {"api": api_id})
        site.wait("the throttle to work", site.patience.rights)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            replies = list(pool.map(get, [""] * AT_ONCE))
    row, statuses = "aws-throttle-answer", {"statuses": Counter(str(reply.status) for reply in replies)}
    first = next((reply for reply in replies if reply.status == 429), None)
    if first is None:
        yield not_seen(row, "none of fifty requests was throttled", statuses)
        return
    after = first.headers.get("retry-after")
    shown = first.evidence() | {"retry_after": after} | statuses
    yield judged(row, first.problem == "throttled" and after is not None, shown)
