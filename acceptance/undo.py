"""How each thing that an acceptance makes or changes is taken back, and how to see that nothing of it is left.

Promises that a thing is in the state file before it is made and until it is gone, and that taking back twice is as
good as once. Never touches what another made: all of it carries one name.
"""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from acceptance.rows import FACTS
from acceptance.site import Site
from acceptance.state import Made
from ops import places
from ops.places import OpsError

MARK = "void-service-acceptance"
"""Name of the policies, label of the secret's version, description of the function's version."""
_GONE = FACTS["codes"]["gone"]
NO_WEIGHTS = {"AdditionalVersionWeights": {}}  # type: dict[str, dict[str, float]]

What = Mapping[str, str]


@contextmanager
def making(site: Site, kind: str, **what: str) -> Iterator[None]:
    """Make a thing inside this block. It is taken back at the end, also after an error or Ctrl-C."""
    made = Made(kind, what)
    site.state.will_make(made)
    try:
        yield
    finally:
        with undisturbed():
            _attempt(site, made)


def _attempt(site: Site, made: Made) -> None:
    """Take one thing back; if AWS does not let us, it stays in the state file and is named."""
    named = f"{made.kind} {next(iter(made.what.values()), '')}".strip()
    try:
        KINDS[made.kind](site, made.what)
    except ClientError as error:
        site.left_behind.append(f"{named}: {places.refusal_of_aws(error)}")
    except (BotoCoreError, OpsError, OSError) as error:
        site.left_behind.append(f"{named}: {type(error).__name__}")
    else:
        site.state.undone(made)


def take_back(site: Site) -> int:
    """Take back all that earlier runs left, newest first; how many things that was."""
    left = list(reversed(site.state.made))
    with undisturbed():
        for made in left:
            _attempt(site, made)
    return len(left)


def clean(site: Site) -> list[str]:
    """Take back all that earlier runs left; what is still there afterwards."""
    take_back(site)
    return [*site.left_behind, *leftovers(site)]


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C waits until what is begun is taken back; then it counts."""
    came: list[int] = []

    def later(number: int, _: FrameType | None) -> None:
        came.append(number)

    mine = threading.current_thread() is threading.main_thread()
    before = {one: signal.signal(one, later) for one in (signal.SIGINT, signal.SIGTERM) if mine}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    if came:
        raise KeyboardInterrupt


@contextmanager
def _if_there() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in _GONE:
            raise


# ---- what is taken back ----------------------------------------------------------------------------------------------


def _deny(site: Site, what: What) -> None:
    with _if_there():
        site.client("iam").delete_role_policy(RoleName=what["role"], PolicyName=MARK)


def _queue(site: Site, what: What) -> None:
    with _if_there():
        sqs = site.client("sqs")
        sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=what["queue"])["QueueUrl"])


def _rule(site: Site, what: What) -> None:
    events = site.client("events")
    with _if_there():
        events.remove_targets(Rule=what["rule"], EventBusName=what["bus"], Ids=[MARK])
    with _if_there():
        events.delete_rule(Name=what["rule"], EventBusName=what["bus"])


def _alarm(site: Site, what: What) -> None:
    back = {"AlarmName": what["alarm"], "StateValue": what["state"], "StateReason": "the acceptance is over"}
    site.client("cloudwatch").set_alarm_state(**back)


def _release(site: Site, what: What) -> None:
    """The alias as it was, then the description, then the version that nothing points to any more."""
    functions, name = site.client("lambda"), what["function"]
    alias = {"Name": what["alias"], "FunctionVersion": what["version"], "RoutingConfig": NO_WEIGHTS}
    functions.update_alias(FunctionName=name, **alias)
    if functions.get_function_configuration(FunctionName=name).get("Description", "") == MARK:
        functions.update_function_configuration(FunctionName=name, Description=what["description"])
        functions.get_waiter("function_updated_v2").wait(FunctionName=name)
    for number in _marked_versions(functions, name):
        with _if_there():
            functions.delete_function(FunctionName=name, Qualifier=number)


def _marked_versions(functions: Any, name: str) -> list[str]:
    """The versions of a function that an acceptance published."""
    pages = functions.get_paginator("list_versions_by_function").paginate(FunctionName=name)
    marked = [one["Version"] for page in pages for one in page["Versions"] if one.get("Description") == MARK]
    return [version for version in marked if version != "$LATEST"]


def _secret(site: Site, what: What) -> None:
    """Both stages where they were. The label kept the version that was `previous` from being deleted meanwhile."""
    secrets, secret = site.client("secretsmanager"), what["secret"]
    for stage, target in (("AWSCURRENT", what["current"]), ("AWSPREVIOUS", what["previous"])):
        where = stages(secrets, secret)  # the first move moves the second stage as well
        if where.get(stage, "") != target:
            _move(secrets, secret, stage, where.get(stage), target)
    if MARK in where:
        _move(secrets, secret, MARK, where[MARK], None)


def stages(secrets: Any, secret: str) -> dict[str, str]:
    """Stage to version."""
    versions = secrets.list_secret_version_ids(SecretId=secret, MaxResults=100)["Versions"]
    return {stage: version["VersionId"] for version in versions for stage in version.get("VersionStages", [])}


def _move(secrets: Any, secret: str, stage: str, origin: str | None, target: str | None) -> None:
    moves = {"RemoveFromVersionId": origin, "MoveToVersionId": target}
    known = {name: version for name, version in moves.items() if version}
    secrets.update_secret_version_stage(SecretId=secret, VersionStage=stage, **known)


def _function(site: Site, what: What) -> None:
    with _if_there():
        site.client("lambda").delete_function(FunctionName=what["function"])


def _api(site: Site, what: What) -> None:
    for api_id in _apis(site, what["api"]):
        with _if_there():
            site.client("apigateway").delete_rest_api(restApiId=api_id)


def _apis(site: Site, name: str) -> list[str]:
    pages = site.client("apigateway").get_paginator("get_rest_apis").paginate()
    return [one["id"] for page in pages for one in page["items"] if one["name"] == name]


KINDS: Mapping[str, Callable[[Site, What], None]] = {
    "deny": _deny, "queue": _queue, "rule": _rule, "alarm": _alarm, "release": _release, "secret": _secret,
    "function": _function, "api": _api,
}  # fmt: skip

# ---- what is left ----------------------------------------------------------------------------------------------------


def leftovers(site: Site) -> list[str]:
    """What carries our name in the account although no run is at work; also when the state file was lost."""
    found: list[str] = []
    for look in (_left_policies, _left_queue, _left_rule, _left_function, _left_apis, _left_versions, _left_label):
        try:
            found += look(site)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _GONE and not site.local:
                found.append(f"not seen whether something is left: {places.refusal_of_aws(error)}")
    return found


def _left_policies(site: Site) -> Iterator[str]:
    roles = [function.role.rpartition("/")[2] for function in site.functions.values()]
    with suppress(OpsError):
        roles.append(site.resource("AWS::IAM::Role", "EventsPipeRole"))
    for role in roles:
        if MARK in site.client("iam").list_role_policies(RoleName=role)["PolicyNames"]:
            yield f"the policy {MARK} of the role {role}"


def _left_queue(site: Site) -> Iterable[str]:
    urls = site.client("sqs").list_queues(QueueNamePrefix=site.temporary).get("QueueUrls", [])
    return [f"the queue {url.rpartition('/')[2]}" for url in urls]


def _left_rule(site: Site) -> Iterable[str]:
    site.client("events").describe_rule(Name=site.temporary, EventBusName=site.output("OutcomeBus"))
    return [f"the rule {site.temporary} of the bus"]


def _left_function(site: Site) -> Iterable[str]:
    site.client("lambda").get_function_configuration(FunctionName=site.temporary)
    return [f"the function {site.temporary}"]


def _left_apis(site: Site) -> Iterable[str]:
    return [f"the API {site.temporary} ({api_id})" for api_id in _apis(site, site.temporary)]


def _left_versions(site: Site) -> Iterator[str]:
    for function in site.functions.values():
        for number in _marked_versions(site.client("lambda"), function.name):
            yield f"version {number} of {function.name}"


def _left_label(site: Site) -> Iterable[str]:
    secret = site.resource("AWS::SecretsManager::Secret")
    labelled = MARK in stages(site.client("secretsmanager"), secret)
    return [f"the label {MARK} of a version of the secret"] if labelled else []
