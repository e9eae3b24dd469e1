"""How each thing that an acceptance makes or changes is taken back, and how to see that nothing of it is left.

Promises that a thing stands in the state file before it is made and until it is gone, and that taking back twice is as
good as once. Never touches what another made: all of it carries one name.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ops import places
from ops.acceptance.site import Site
from ops.acceptance.state import Made
from ops.places import OpsError

MARK = "void-service-acceptance"
"""Name of the policies, label of the secret's version, description of the function's version."""
_GONE = {
    "ResourceNotFoundException", "NoSuchEntity", "NotFoundException", "ResourceNotFound", "QueueDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue",
}  # fmt: skip

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
            attempt(site, made)


def attempt(site: Site, made: Made) -> bool:
    """Take one thing back; if AWS does not let us, it stays in the state file and is named."""
    try:
        KINDS[made.kind](site, made.what)
    except ClientError as error:
        site.left_behind.append(f"{_named(made)}: {places.refusal_of_aws(error)}")
    except (BotoCoreError, OpsError, OSError) as error:
        site.left_behind.append(f"{_named(made)}: {type(error).__name__}")
    else:
        site.state.undone(made)
        return True
    return False


def take_back(site: Site) -> int:
    """Take back all that earlier runs left, newest first; how many things that was."""
    left = list(reversed(site.state.made))
    with undisturbed():
        for made in left:
            attempt(site, made)
    return len(left)


def clean(site: Site) -> list[str]:
    """Take back all that earlier runs left; what is still there afterwards."""
    take_back(site)
    return [*site.left_behind, *leftovers(site)]


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C waits until what is begun is taken back; then it counts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def later(number: int, _: FrameType | None) -> None:
        came.append(number)

    before = {one: signal.signal(one, later) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    if came:
        raise KeyboardInterrupt


def _named(made: Made) -> str:
    return f"{made.kind} {next(iter(made.what.values()), '')}".strip()


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
    site.client("cloudwatch").set_alarm_state(
        AlarmName=what["alarm"], StateValue=what["state"], StateReason="the acceptance is over"
    )


def _release(site: Site, what: What) -> None:
    """The alias as it was, then the description, then the version that nothing points to any more."""
    functions = site.client("lambda")
    functions.update_alias(
        FunctionName=what["function"],
        Name=what["alias"],
        FunctionVersion=what["version"],
        RoutingConfig={"AdditionalVersionWeights": {}},
    )
    if functions.get_function_configuration(FunctionName=what["function"]).get("Description", "") == MARK:
        functions.update_function_configuration(FunctionName=what["function"], Description=what["description"])
        functions.get_waiter("function_updated_v2").wait(FunctionName=what["function"])
    for number in marked_versions(functions, what["function"]):
        with _if_there():
            functions.delete_function(FunctionName=what["function"], Qualifier=number)


def marked_versions(functions: Any, name: str) -> list[str]:
    """The versions of a function that an acceptance published."""
    pages = functions.get_paginator("list_versions_by_function").paginate(FunctionName=name)
    return [
        one["Version"]
        for page in pages
        for one in page["Versions"]
        if one.get("Description") == MARK and one["Version"] != "$LATEST"
    ]


def _secret(site: Site, what: What) -> None:
    """Both stages where they were. The label kept the version that was `previous` from being deleted meanwhile."""
    secrets = site.client("secretsmanager")
    where = stages(secrets, what["secret"])
    if where.get("AWSCURRENT") != what["current"]:
        _move(secrets, what["secret"], "AWSCURRENT", where.get("AWSCURRENT"), what["current"])
        where = stages(secrets, what["secret"])
    if where.get("AWSPREVIOUS") != (what["previous"] or None):
        _move(secrets, what["secret"], "AWSPREVIOUS", where.get("AWSPREVIOUS"), what["previous"] or None)
    if MARK in where:
        _move(secrets, what["secret"], MARK, where[MARK], None)


def stages(secrets: Any, secret: str) -> dict[str, str]:
    """Stage to version."""
    versions = secrets.list_secret_version_ids(SecretId=secret, MaxResults=100)["Versions"]
    return {stage: version["VersionId"] for version in versions for stage in version.get("VersionStages", [])}


def _move(secrets: Any, secret: str, stage: str, origin: str | None, target: str | None) -> None:
    arguments = {"SecretId": secret, "VersionStage": stage}
    arguments |= {"RemoveFromVersionId": origin} if origin else {}
    arguments |= {"MoveToVersionId": target} if target else {}
    secrets.update_secret_version_stage(**arguments)


def _function(site: Site, what: What) -> None:
    with _if_there():
        site.client("lambda").delete_function(FunctionName=what["function"])


def _api(site: Site, what: What) -> None:
    gateway = site.client("apigateway")
    for api_id in scratch_apis(gateway, what["api"]):
        with _if_there():
            gateway.delete_rest_api(restApiId=api_id)


def scratch_apis(gateway: Any, name: str) -> list[str]:
    """The APIs of this name."""
    pages = gateway.get_paginator("get_rest_apis").paginate()
    return [one["id"] for page in pages for one in page["items"] if one["name"] == name]


KINDS: Mapping[str, Callable[[Site, What], None]] = {
    "deny": _deny,
    "queue": _queue,
    "rule": _rule,
    "alarm": _alarm,
    "release": _release,
    "secret": _secret,
    "function": _function,
    "api": _api,
}


# ---- what is left ----------------------------------------------------------------------------------------------------


def leftovers(site: Site) -> list[str]:
    """What carries our name in the account although no run is at work; also when the state file was lost."""
    found: list[str] = []
    for look in (_left_policies, _left_queue, _left_rule, _left_function, _left_apis, _left_versions, _left_label):
        try:
            found += look(site)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _GONE and not site.local:
                found.append(f"not looked at: {places.refusal_of_aws(error)}")
    return found


def _roles(site: Site) -> list[str]:
    roles = [function.role.rpartition("/")[2] for function in site.functions.values()]
    with suppress(OpsError):
        roles.append(site.resource("AWS::IAM::Role", "OutcomesPipeRole"))
    return roles


def _left_policies(site: Site) -> Iterator[str]:
    for role in _roles(site):
        if MARK in site.client("iam").list_role_policies(RoleName=role)["PolicyNames"]:
            yield f"the policy {MARK} of the role {role}"


def _left_queue(site: Site) -> Iterator[str]:
    for url in site.client("sqs").list_queues(QueueNamePrefix=site.temporary).get("QueueUrls", []):
        yield f"the queue {url.rpartition('/')[2]}"


def _left_rule(site: Site) -> Iterator[str]:
    site.client("events").describe_rule(Name=site.temporary, EventBusName=site.output("OutcomeBus"))
    yield f"the rule {site.temporary} of the bus"


def _left_function(site: Site) -> Iterator[str]:
    site.client("lambda").get_function_configuration(FunctionName=site.temporary)
    yield f"the function {site.temporary}"


def _left_apis(site: Site) -> Iterator[str]:
    for api_id in scratch_apis(site.client("apigateway"), site.temporary):
        yield f"the API {site.temporary} ({api_id})"


def _left_versions(site: Site) -> Iterator[str]:
    for function in site.functions.values():
        for number in marked_versions(site.client("lambda"), function.name):
            yield f"version {number} of {function.name}"


def _left_label(site: Site) -> Iterator[str]:
    secret = site.resource("AWS::SecretsManager::Secret")
    if MARK in stages(site.client("secretsmanager"), secret):
        yield f"the label {MARK} of a version of the secret"
