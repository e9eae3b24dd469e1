"""A synthesised stack by what it holds: the look-ups that its tests share."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from infra.environment import Environment
from infra.synth import ROOT, synthesis_environment

Properties = dict[str, Any]

CONTRACT: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))
OPERATIONS = {f"{method.upper()} {path}": each for path, by in CONTRACT["paths"].items() for method, each in by.items()}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def synthesise(environment: Environment, out: Path) -> "Stack":
    """The stack of an environment, its cloud assembly checked by a pack of rules and not bundled."""
    for name, value in synthesis_environment("test", out).items():
        if name.startswith("JSII_"):
            os.environ.setdefault(name, value)
    import aws_cdk as cdk
    import cdk_nag

    from infra.nag import PACK
    from infra.void_service import VoidService

    context = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"] | {"aws:cdk:bundling-stacks": []}
    app = cdk.App(analytics_reporting=False, outdir=str(out), context=context)
    VoidService(app, f"VoidService-{environment.name}", environment)
    cdk.Validations.of(app).add_plugins(getattr(cdk_nag, f"{PACK}Checks")(app))
    with suppress(RuntimeError):  # raised for findings; they are in the report, which the test reads
        app.synth()
    return Stack(
        json.loads((out / f"VoidService-{environment.name}.template.json").read_text("utf-8")), environment, out
    )


class Stack:
    """`assembly`: the folder of the cloud assembly."""

    def __init__(self, template: dict[str, Any], environment: Environment, assembly: Path) -> None:
        self.template, self.environment, self.assembly = template, environment, assembly
        self.resources: dict[str, dict[str, Any]] = template["Resources"]
        self.outputs = {name: each["Value"] for name, each in template["Outputs"].items()}
        self.functions = {each["Handler"].removesuffix(".handler"): each for each in self.all("Lambda::Function")}
        self.alarms = {each["AlarmName"].split(" ", 1)[1]: each for each in self.all("CloudWatch::Alarm")}

    def of(self, kind: str) -> dict[str, Properties]:
        """Logical id -> properties of each resource of AWS::{kind}."""
        return {name: each["Properties"] for name, each in self.resources.items() if each["Type"] == f"AWS::{kind}"}

    def all(self, kind: str) -> list[Properties]:
        return [*self.of(kind).values()]

    def one(self, kind: str) -> Properties:
        (found,) = self.all(kind)
        return found

    def name(self, kind: str, beginning: str = "") -> str:
        """The logical id of the only resource of the kind, or of the only one that begins so."""
        (found,) = [name for name in self.of(kind) if name.startswith(beginning)]
        return found

    def routes(self) -> dict[str, Properties]:
        """`METHOD /path` -> the method."""
        parts = self.of("ApiGateway::Resource")

        def path(reference: Properties) -> str:
            part = parts.get(reference.get("Ref", ""))  # the API's root is none
            return f"{path(part['ParentId'])}/{part['PathPart']}" if part else ""

        return {f"{each['HttpMethod']} {path(each['ResourceId'])}": each for each in self.all("ApiGateway::Method")}

    def access_log(self) -> dict[str, str]:
        return dict(json.loads(self.one("ApiGateway::Stage")["AccessLogSetting"]["Format"]))

    def rights(self, role: str) -> dict[str, Any]:
        """Action -> resource or resources, of the policies of a role."""
        return {action: each["Resource"] for each in self.statements(role) for action in listed(each["Action"])}

    def statements(self, role: str | None = None) -> Iterator[dict[str, Any]]:
        for policy in self.all("IAM::Policy"):
            if role is None or {"Ref": role} in policy["Roles"]:
                yield from policy["PolicyDocument"]["Statement"]

    def role_of(self, service: str) -> str:
        """The logical id of the only role that this service may take."""
        taken = {name: str(each["AssumeRolePolicyDocument"]) for name, each in self.of("IAM::Role").items()}
        (role,) = [name for name, document in taken.items() if f"{service}.amazonaws.com" in document]
        return role
