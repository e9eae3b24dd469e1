"""What AWS answers to an acceptance, call by call, by the scripts of tests/vectors/acceptance.toml."""

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from acceptance.probes import account as account_probes
from acceptance.probes.changes import LETTERS
from acceptance.rows import FACTS
from acceptance.undo import MARK, fill
from tests.fakes.account import ACCOUNT, Step, stack

VECTORS = tomllib.loads((Path(__file__).parents[1] / "vectors" / "acceptance.toml").read_text(encoding="utf-8"))
ORDER = "acc-1"
ORDERS = {"plain": ORDER, "odd": ORDER + LETTERS, "quoted": quote(ORDER + LETTERS, safe="")}
KNOWN: dict[str, Any] = VECTORS["known"] | {"mark": MARK, "role": None, "parameters": None, "templates": None}
READY: dict[str, Any] = {"LastUpdateStatus": "Successful", "State": "Active"}
WAITS = dict.fromkeys(("function_active_v2", "function_updated_v2"), ("get_function", {"Configuration": READY}))
WAITS["published_version_active"] = ("get_function_configuration", READY)
WARM = "REPORT RequestId: 1\tDuration: {} ms\tBilled Duration: 13 ms\tMemory Size: 512 MB\tMax Memory Used: 70 MB\t"
COLD = WARM + "Init Duration: 250.50 ms\t"


def steps(case: Mapping[str, Any]) -> Iterator[Step]:
    """The calls of a case, each with its answer."""
    known = KNOWN | case.get("with", {})
    for one in case["aws"]:
        name, _, times = ("", "", "") if isinstance(one, list) else one.partition(" * ")
        word, *arguments = name.split() or [""]
        if not name:
            found = [one]
        elif word in MADE:
            found = MADE[word](*arguments)
        else:
            found = VECTORS["scripts"].get(name) or listed(name, known)
        for service, operation, answer in found * int(times or 1):
            yield service, operation, fill(answer, known)


def listed(name: str, known: Mapping[str, Any]) -> list[Any]:
    """The calls that rows.toml lists, each with an answer that has what it keeps of it."""
    found: list[Any] = []
    for service, operation, _, *kept in FACTS["calls"][name]:
        answer: dict[str, Any] = {}
        for key, path in (kept[0] if kept else {}).items():
            value = known[key]
            for part in reversed(path.split(".")):
                value = [value] if part == "0" else {part: value}
            answer |= value
        found.append((service, *WAITS.get(operation, (operation, answer))))
    return found


def decided(otherwise: str = "", action: str = "") -> list[Any]:
    """IAM decides as it should, but for one action of one function, which it decides the other way."""
    found: list[Any] = [("dynamodb", "describe_table", {"Table": {"TableArn": "arn:aws:dynamodb:x:1:table/t"}})]
    for stem, must in account_probes.MUST.items():
        groups = [(True, [right.partition("/")[0]]) for right in must] + [(True, ["secretsmanager:GetSecretValue"])]
        never = [one for one in account_probes.NEVER["table"] if "receive" not in stem or "UpdateItem" not in one]
        for allowed, actions in (*groups, (False, never), (False, account_probes.NEVER["secret"])):
            words = {
                one: "allowed" if ((stem, one) == (otherwise, action)) != allowed else "implicitDeny" for one in actions
            }
            results = [{"EvalActionName": one, "EvalDecision": word} for one, word in words.items()]
            found.append(("iam", "simulate_principal_policy", {"EvaluationResults": results}))
    return found


def staged(current: str, previous: str = "", kept: str = "") -> list[Any]:
    """Which versions of the secret are where: each is a digit."""
    stages = {"AWSCURRENT": current, "AWSPREVIOUS": previous, MARK: kept}
    versions = [{"VersionId": version * 32, "VersionStages": [stage for stage, its in stages.items() if its == version]}
                for version in dict.fromkeys(stages.values()) if version]  # fmt: skip
    return [("secretsmanager", "list_secret_version_ids", {"Versions": versions})]


def arrived(order: str, *versions: str) -> list[Any]:
    bodies = [
        {"detail-type": "void.settled", "detail": {"order_id": ORDERS[order], "version": one}} for one in versions
    ]
    messages = [{"ReceiptHandle": f"r{number}", "Body": json.dumps(body)} for number, body in enumerate(bodies)]
    return [("sqs", "receive_message", {"Messages": messages}), *[("sqs", "delete_message", {})] * len(versions)]


def timed(milliseconds: str, count: str) -> list[Any]:
    lines = [WARM.format(milliseconds)] * int(count) + [COLD.format(milliseconds)] * 5
    return [("logs", "filter_log_events", {"events": [{"message": line} for line in lines]})] * len(
        account_probes.PAPER_MS
    )


def begun(how: str = "", name: str = "") -> list[Any]:
    """The calls by which a stack is found and known to be of this version; one of prod is not looked into."""
    if how == "of":
        return stack(Tags=[{"Key": "environment", "Value": name}])[:1]
    return [
        *stack(without=name),
        ("sts", "get_caller_identity", {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/u"}),
    ]


MADE: Mapping[str, Callable[..., list[Any]]] = {one.__name__: one for one in (decided, staged, arrived, timed, begun)}
