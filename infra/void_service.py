"""The stack, as a sentence: orders are stored, functions void and listen, an API lets callers in, events leave, alarms
watch.

One per environment. Promises outputs that an operator needs after a deployment; never holds a secret's value.
"""

import aws_cdk as cdk
from constructs import Construct

from infra import dashboard
from infra.api import Api
from infra.callers import DECIDE, READ, SUBMIT
from infra.environment import Environment
from infra.events import SettledEvents
from infra.functions import Functions, release_step_by_step
from infra.monitoring import Monitoring
from infra.storage import Storage


class VoidService(cdk.Stack):
    def __init__(self, scope: Construct, name: str, environment: Environment) -> None:
        place = cdk.Environment(account=environment.account, region=environment.region)
        what, protected = f"Voids of Financial Line holds ({environment.name})", environment.termination_protection
        super().__init__(scope, name, env=place, termination_protection=protected, description=what)
        provider = self.provider(environment)
        storage = Storage(self, "Storage", environment)
        api = Api(self, "Api", environment, self.public_url(environment), storage.key)
        addresses = {**provider, "WEBHOOK_URL": api.webhook_url}
        functions = Functions(self, "Functions", environment, storage, addresses)
        api.route(functions.live)
        events = SettledEvents(self, "Events", environment, storage)
        monitoring = Monitoring(self, "Monitoring", api, functions, events)
        if environment.production:  # a dashboard costs as much as thirty alarms
            dashboard.show(monitoring, api, functions)
        if not environment.local:  # the engine does not know them
            dashboard.save_queries(monitoring, functions)
        if environment.canary:
            release_step_by_step(self, functions, monitoring.against_release)

        self.tell_the_operator(api, storage, events, monitoring)
        cdk.Tags.of(self).add("service", "void-service")
        cdk.Tags.of(self).add("environment", environment.name)

    def provider(self, environment: Environment) -> dict[str, str]:
        settings = {"PROVIDER_URL": environment.provider_url, "PROVIDER_SCHEME": environment.provider_scheme}
        if environment.local:
            # Parameters, not context: the ports differ at each start, and the synthesised template is cached.
            settings["PROVIDER_URL"] = self.parameter("ProviderUrl", "Where the sandbox listens")
            settings["PROVIDER_CA_FILE"] = self.parameter("ProviderCaFile", "The sandbox's certificate authority")
        return settings

    def public_url(self, environment: Environment) -> str | None:
        return self.parameter("PublicUrl", "Where the local gateway listens") if environment.local else None

    def parameter(self, name: str, description: str) -> str:
        return cdk.CfnParameter(self, name, type="String", description=description).value_as_string

    def tell_the_operator(self, api: Api, storage: Storage, events: SettledEvents, monitoring: Monitoring) -> None:
        fill = f"aws secretsmanager put-secret-value --region {self.region} --secret-id {storage.secret_arn}"
        by_token = "Where callers with a token send voids: {TokenApiUrl}/voids"
        for name, value, description in (
            *[("TokenApiUrl", f"{api.url}/oauth", by_token)][: api.tokens is not None],
            ("ApiUrl", api.url, "Where callers send voids: {ApiUrl}/voids"),
            ("WebhookUrl", api.webhook_url,
             "Sent to the provider with each void; enter it wherever the provider asks for one"),
            ("SecretName", storage.secret_arn,
             "The provider's credentials; every command accepts this ARN as the name"),
            ("FillSecretCommand", f"{fill} --secret-string file://financial-line.json", "Until it has run: 503"),
            ("CallerPolicy", api.policy_of(SUBMIT, *READ), "What a caller's role must be allowed"),
            ("OperatorPolicy", api.policy_of(*READ, DECIDE), "What an operator's role must be allowed"),
            ("OutcomeBus", events.bus.event_bus_name, "Where a rule can subscribe to void.settled"),
            ("AlarmTopic", monitoring.topic.topic_arn, "SNS topic of every alarm: subscribe whoever is on call"),
        ):  # fmt: skip
            cdk.CfnOutput(self, name, value=value, description=description)
