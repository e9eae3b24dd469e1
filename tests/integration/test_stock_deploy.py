"""`make deploy` by the commands that it runs; and the CDK's own command line against ministack, from bootstrap to destroy.

Promises the templates of `test` and `prod` less what the engine does not know, an engine per test and TLS, which the
bootstrapped bucket insists on. Never sees the credentials or the profiles of whoever runs it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import trustme

from infra.deploy import STACK_POLICY
from infra.synth import node_from_pypi
from local import aws
from local.assembly import CACHE, ROOT
from local.processes import Children
from local.service import CREDENTIALS
from tests import once

NODE = node_from_pypi() or Path("node")
TEST, PROD = "VoidService-test", "VoidService-prod"
# `local` has no canary; only `prod` meets these.
RELEASES = ("AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup")
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
        session: Any = boto3.Session(key, secret, region_name=aws.REGION)
        return session.client(service, endpoint_url=self.endpoint, verify=str(self.authority))

    def stacks(self) -> dict[str, str]:
        described = self.client("cloudformation").describe_stacks()["Stacks"]
        return {stack["StackName"]: stack["StackStatus"] for stack in described}

    def outputs(self, stack: str) -> dict[str, str]:
        described = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


@pytest.fixture(scope="module")
def cli() -> Path:
    """The version that `make deploy` runs, installed once."""
    (wanted,) = re.findall(r"^CDK_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    folder = CACHE / "cdk-cli"
    package = folder / "node_modules" / "aws-cdk"
    if not package.exists() or json.loads((package / "package.json").read_text())["version"] != wanted:
        npm = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        options = ["--save-exact", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
        install = ["install", "--prefix", str(folder), *options, f"aws-cdk@{wanted}"]
        path = {"PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"}
        done = run([str(NODE), str(npm), *install], {**os.environ, **path}, ROOT)
        refused = re.search(r"npm error code (\S+)", done.stdout)
        if done.returncode and refused and refused[1] in REFUSALS:
            pytest.skip(f"npm's registry does not give aws-cdk@{wanted} here: {refused[1]}")
        assert done.returncode == 0, done.stdout
    return package / "bin" / "cdk"


def without_what_the_engine_refuses(environment: str, folder: Path) -> Path:
    """The cloud assembly, changed before anything is published: the CLI goes by the hashes in the manifest."""
    assembly = Path(shutil.copytree(once.synthesised(environment), folder / environment))
    file = assembly / f"VoidService-{environment}.template.json"
    template = aws.secret_references_as_arns(json.loads(file.read_text()))
    resources = template["Resources"]
    unknown = [name for name, resource in resources.items() if resource["Type"] in RELEASES]
    for name in (*aws.refused_by_the_engine(template), *unknown):
        del resources[name]
    for resource in resources.values():
        if "CodeDeployLambdaAliasUpdate" in resource.get("UpdatePolicy", {}):
            del resource["UpdatePolicy"]
    file.write_text(json.dumps(template))
    return assembly


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    issuer, children = trustme.CA(), Children()
    authority, certificate, log = (tmp_path / name for name in ("ca.pem", "certificate.pem", "ministack.log"))
    issuer.cert_pem.write_to_path(str(authority))
    issuer.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    try:
        endpoint = aws.start_engine(once.engine(), children, tmp_path, log, authority, certificate)
        yield Account(endpoint, authority, shell(endpoint, authority, tmp_path))
    finally:
        children.stop_all()


def shell(endpoint: str, authority: Path, folder: Path) -> dict[str, str]:
    """The caller's environment less its AWS settings and those of an outer make, which would answer for us."""
    nothing = folder / "nothing"
    nothing.touch()
    mine = ("AWS_", "CDK_", "MAKE", "MFLAGS", "ENVIRONMENT", "YES")
    key, secret = aws.ADMIN
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(mine)},
        "AWS_ENDPOINT_URL": endpoint, "AWS_CA_BUNDLE": str(authority), "AWS_REGION": aws.REGION,
        "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_EC2_METADATA_DISABLED": "true",
        **dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), str(nothing)),
        "CDK_HOME": str(folder / "cdk-home"), "CDK_DISABLE_CLI_TELEMETRY": "true", "NO_COLOR": "1",
        **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1"),
    }  # fmt: skip


def run(
    command: list[str], environment: Mapping[str, str], directory: Path, stdin: int = subprocess.DEVNULL
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=directory, env=dict(environment), stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False, timeout=300,
    )  # fmt: skip


# ---- what `make deploy` runs, in which order -------------------------------------------------------------------------

CHECKED = ["python -m infra.deploy check test"]
SHOWN = [*CHECKED, "python -m infra.synth test", "cdk diff --app cdk.out VoidService-test"]
DEPLOYED = [*SHOWN, "cdk deploy --app cdk.out --require-approval never VoidService-test"]
PROTECTED = [*DEPLOYED, "python -m infra.deploy protect test"]
WAYS: dict[str, tuple[list[str], str, str, list[str]]] = {
    # What make is given, what is answered, which command fails; what runs.
    "nowhere": ([], "y", "", []),
    "an environment that is not complete": (["ENVIRONMENT=test", "YES=1"], "", "check", CHECKED),
    "no comparison": (["ENVIRONMENT=test", "YES=1"], "", "diff", SHOWN),
    "no answer": (["ENVIRONMENT=test"], "", "", SHOWN),
    "no": (["ENVIRONMENT=test"], "n", "", SHOWN),
    "yes": (["ENVIRONMENT=test"], "y", "", PROTECTED),
    "yes beforehand": (["ENVIRONMENT=test", "YES=1"], "", "", PROTECTED),
    "a deployment that fails": (["ENVIRONMENT=test", "YES=1"], "", "deploy --app", DEPLOYED),
}


@pytest.mark.parametrize(("given", "answer", "fails", "expected"), WAYS.values(), ids=WAYS)
def test_make_deploy_checks_shows_and_asks_before_it_changes_anything(
    tmp_path: Path, given: list[str], answer: str, fails: str, expected: list[str]
) -> None:
    recorder, recorded = tmp_path / "recorder", tmp_path / "recorded"
    recorder.write_text(
        f"""#!/bin/sh\necho "$*" >> {recorded}\ncase "$*" in *"{fails or "nothing"}"*) exit 1;; esac\n"""
    )
    recorder.chmod(0o755)
    tools = [f"PYTHON={recorder} python", f"CDK={recorder} cdk", "INSTALLED=Makefile"]
    done = subprocess.run(
        ["make", "-C", str(ROOT), "deploy", *tools, *given], env=shell("", tmp_path, tmp_path), input=f"{answer}\n",
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (recorded.read_text().splitlines() if recorded.exists() else []) == expected, done.stderr
    assert (done.returncode == 0) is (expected == PROTECTED)
    assert given or "say where" in done.stdout


# ---- the real command line -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cdk:
    """`cdk … --app ASSEMBLY` in the account, outside of the project: no cdk.json takes part."""

    cli: Path
    account: Account
    directory: Path

    def does(self, assembly: Path, *words: str, fails: bool = False) -> str:
        command = [str(NODE), str(self.cli), *words, "--app", str(assembly), "--no-notices"]
        done = run(command, self.account.environment, self.directory)
        assert (done.returncode != 0) is fails, done.stdout
        return done.stdout


@pytest.fixture
def cdk(cli: Path, account: Account, tmp_path: Path) -> Cdk:
    """In an account that is bootstrapped."""
    cdk = Cdk(cli, account, tmp_path)
    cdk.does(once.synthesised("test"), "bootstrap")
    assert account.stacks() == {"CDKToolkit": "CREATE_COMPLETE"}
    return cdk


@pytest.mark.proof
def test_the_test_environment_from_bootstrap_to_destroy(cdk: Cdk, account: Account, tmp_path: Path) -> None:
    test = without_what_the_engine_refuses("test", tmp_path)
    by_make_deploy_after_a_look(account, make_in(tmp_path / "project", cdk.cli, test), tmp_path)
    outputs = account.outputs(TEST)
    assert_told(account, outputs)
    again = cdk.does(test, "deploy", "--require-approval", "never", TEST)
    assert f"{TEST} (no changes)" in again
    assert all(f"{TEST}.{name} = {value}" in again for name, value in outputs.items())

    secrets, secret = account.client("secretsmanager"), outputs["SecretName"]
    assert (
        f"aws secretsmanager put-secret-value --region {aws.REGION} --secret-id {secret} "
        in outputs["FillSecretCommand"]
    )
    secrets.put_secret_value(SecretId=secret, SecretString=json.dumps(CREDENTIALS))
    (name,) = account.client("dynamodb").list_tables()["TableNames"]
    record = {"pk": {"S": "ORDER#1"}, "sk": {"S": "VOID"}}
    account.client("dynamodb").put_item(TableName=name, Item=record)

    cdk.does(test, "destroy", "--force", TEST)
    assert account.stacks() == {"CDKToolkit": "CREATE_COMPLETE"}
    assert account.client("lambda").list_functions()["Functions"] == []
    assert account.client("apigateway").get_rest_apis()["items"] == []
    assert account.client("scheduler").list_schedules()["Schedules"] == []
    # What outlives every stack: the records, protected as before, and the credentials.
    assert account.client("dynamodb").describe_table(TableName=name)["Table"]["DeletionProtectionEnabled"]
    assert account.client("dynamodb").get_item(TableName=name, Key=record)["Item"] == record
    assert json.loads(secrets.get_secret_value(SecretId=secret)["SecretString"]) == CREDENTIALS


@pytest.mark.proof
def test_prod_deploys_and_is_not_destroyed(cdk: Cdk, account: Account, tmp_path: Path) -> None:
    prod = without_what_the_engine_refuses("prod", tmp_path)
    cdk.does(prod, "deploy", "--require-approval", "never", PROD)
    assert account.stacks()[PROD] == "CREATE_COMPLETE"
    assert_told(account, account.outputs(PROD))
    assert "TerminationProtection" in cdk.does(prod, "destroy", "--force", PROD, fails=True)
    assert account.stacks()[PROD] == "CREATE_COMPLETE"


def by_make_deploy_after_a_look(account: Account, make: list[str], folder: Path) -> None:
    """`make deploy` refuses without a role for the logs, shows what would change, and deploys on a yes only."""
    before = account.stacks()
    unlogged = run([*make, "ENVIRONMENT=test", "YES=1"], account.environment, folder)
    assert unlogged.returncode, unlogged.stdout
    assert "API Gateway has no role to write logs with in account" in unlogged.stdout
    # As docs/runbook.md says, once per account and region.
    role = f"arn:aws:iam::{aws.ACCOUNT}:role/gateway-logs"
    change: Any = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": role}]
    account.client("apigateway").update_account(patchOperations=change)

    asker, terminal = os.openpty()  # bash shows its question to a terminal only
    try:
        os.write(asker, b"n\n")
        declined = run([*make, "ENVIRONMENT=test"], account.environment, folder, stdin=terminal)
    finally:
        os.close(asker)
        os.close(terminal)
    difference, question, after = declined.stdout.partition(f"Deploy {TEST}? [y/N]")
    assert "[+] AWS::DynamoDB::Table" in difference, declined.stdout
    assert question, declined.stdout
    assert (declined.returncode != 0, "deploying" in after, account.stacks()) == (True, False, before)
    # To compare, `cdk diff` has CloudFormation read the template from the bootstrapped bucket; the code stays here.
    listed = account.client("s3").list_objects_v2(Bucket=aws.ASSET_BUCKET).get("Contents", [])
    assert [item["Key"] for item in listed if not item["Key"].endswith(".json")] == []

    agreed = run([*make, "ENVIRONMENT=test", "YES=1"], account.environment, folder)
    assert agreed.returncode == 0, agreed.stdout
    assert account.stacks()[TEST] == "CREATE_COMPLETE"
    assert all(f"{TEST}.{name} = " in agreed.stdout for name in OUTPUTS)
    policy = account.client("cloudformation").get_stack_policy(StackName=TEST)["StackPolicyBody"]
    assert json.loads(policy) == STACK_POLICY


def make_in(project: Path, cli: Path, assembly: Path) -> list[str]:
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
    "-m infra.synth test") ln -sfn "{assembly}" cdk.out ;;
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
    (secret,) = account.client("secretsmanager").list_secrets()["SecretList"]
    assert outputs["SecretName"] == secret["ARN"]
    (statement,) = json.loads(outputs["CallerPolicy"])["Statement"]
    assert all(f":{api}/v1/" in resource and "/voids" in resource for resource in statement["Resource"])
