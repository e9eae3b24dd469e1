"""`python -m infra.deploy check|protect|policy ENVIRONMENT`: what `make deploy` does around the CDK's own command.

`check` refuses, by name, what would be deployed without an alarm that anyone reads, into another account, or without
access logs. `protect` sets the stack policy. `policy` prints what whoever deploys must be allowed. Changes
nothing else.
"""

import argparse
import json
import sys
from collections.abc import Callable

from infra import environments
from infra.account import Account, Refused

# CloudFormation may change what holds data, and never replace or delete it, whoever asks for an update that would. By
# type and not by name: a resource that lost its name in the template would be deleted under the old one.
KEPT = ("AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::KMS::Key")
EVERYTHING = {"Principal": "*", "Resource": "*"}
STACK_POLICY = {"Statement": [
    {"Effect": "Allow", "Action": "Update:*", **EVERYTHING},
    {"Effect": "Deny", "Action": ["Update:Replace", "Update:Delete"], **EVERYTHING,
     "Condition": {"StringEquals": {"ResourceType": [*KEPT]}}},
]}  # fmt: skip
RUNBOOK = 'docs/runbook.md, "Before the first deployment in an account"'


def check(account: Account) -> None:
    """Raises Refused with everything that is missing, one line each."""
    environment = account.environment
    missing = environment.missing()
    if missing:
        raise Refused("\n".join((f"{environment.name} is not complete, set in infra/environments.py:", *missing)))
    actual = account.call("sts", "get_caller_identity")["Account"]
    if environment.account not in (None, actual):
        raise Refused(f"these credentials are of account {actual}, and {environment.name}.account is another")
    if not account.call("apigateway", "get_account").get("cloudwatchRoleArn"):
        raise Refused(
            f"API Gateway has no role to write logs with in account {actual}, {environment.region}: the stage would be "
            f"refused at the end of the deployment. Once per account and region: {RUNBOOK}"
        )


def protect(account: Account) -> None:
    """Raises Refused."""
    body = json.dumps(STACK_POLICY)
    account.call("cloudformation", "set_stack_policy", StackName=account.stack, StackPolicyBody=body)
    print(f"{account.stack}: CloudFormation may not replace or delete its table and its secret")


def policy(account: Account) -> None:
    """Raises Refused."""
    environment = account.environment
    number = environment.account or account.call("sts", "get_caller_identity")["Account"]
    aws, region = f"arn:{account.partition}", environment.region
    allowed = {
        "sts:AssumeRole": f"{aws}:iam::{number}:role/cdk-hnb659fds-*-role-{number}-{region}",  # made by make bootstrap
        "apigateway:GET": f"{aws}:apigateway:{region}::/account",
        "cloudformation:SetStackPolicy": f"{aws}:cloudformation:{region}:{number}:stack/{account.stack}/*",
    }
    statements = [{"Effect": "Allow", "Action": each, "Resource": resource} for each, resource in allowed.items()]
    print(json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2))


COMMANDS: dict[str, Callable[[Account], None]] = {"check": check, "protect": protect, "policy": policy}


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(prog="python -m infra.deploy")
    known.add_argument("command", choices=COMMANDS)
    known.add_argument("environment", choices=environments.ENVIRONMENTS)
    return known


def main(arguments: list[str]) -> int:
    chosen = parser().parse_args(arguments)
    try:
        COMMANDS[chosen.command](Account(environments.named(chosen.environment)))
    except Refused as refused:
        print(f"make deploy: {refused}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
