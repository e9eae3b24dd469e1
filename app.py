"""The entry point of the CDK: one stack for the environment named by `-c environment=…` (default: test).

Promises a template without credentials and without Docker; never looks anything up in an account.
"""

import aws_cdk as cdk

from infra import environments
from infra.void_service import VoidService

app = cdk.App(analytics_reporting=False, stack_traces=False)
environment = environments.named(app.node.try_get_context("environment") or "test")
VoidService(app, f"VoidService-{environment.name}", environment)
app.synth()
