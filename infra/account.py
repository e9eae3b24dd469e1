"""The AWS account of an environment, as the commands around a deployment use it.

Promises one clear sentence for whatever is missing, and nothing else than AWS's own tools would do: the same
credentials, the same region as the stack. Never imports the CDK.
"""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
from botocore import exceptions

from infra.environment import Environment

SIGNED_OUT = (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.TokenRetrievalError)
EXPIRED = ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException")


class Refused(Exception):
    """What stands in the way, in one sentence."""


class Conflict(Refused):
    """The condition of a write does not hold."""


class Account:
    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.stack = f"VoidService-{environment.name}"
        self._session = boto3.Session(region_name=environment.region)
        self.partition = self._session.get_partition_for_region(environment.region)

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """One call. Raises Refused."""
        answer: dict[str, Any] = self._try(lambda: getattr(self._client(service), operation)(**parameters))
        return answer

    def pages(self, service: str, operation: str, key: str, **parameters: Any) -> Iterator[Any]:
        """What all pages of a listing hold, a page at a time: it may be more than fits in memory. Raises Refused."""
        pages = iter(self._client(service).get_paginator(operation).paginate(**parameters))
        while page := self._try(lambda: next(pages, None)):
            yield from page[key]

    def resources(self, kind: str) -> list[str]:
        """The physical names of the stack's resources of a type. Raises Refused."""
        every = self.pages("cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=self.stack)
        return [each["PhysicalResourceId"] for each in every if each["ResourceType"] == kind]

    def _client(self, service: str) -> Any:
        return self._session.client(service)  # type: ignore[call-overload]  # the name is not a literal here

    def _try(self, use: Callable[[], Any]) -> Any:
        try:
            return use()
        except SIGNED_OUT as error:
            raise Refused("no AWS credentials here: sign in, or set AWS_PROFILE") from error
        except exceptions.ClientError as error:
            code, operation = error.response["Error"]["Code"], error.operation_name
            if code == "ConditionalCheckFailedException":
                raise Conflict(f"{operation}: the condition does not hold") from error
            if code in EXPIRED:
                raise Refused(f"AWS does not accept these credentials ({code}): sign in again") from error
            raise Refused(f"AWS refuses {operation}: {error.response['Error'].get('Message', code)}") from error
        except exceptions.BotoCoreError as error:
            raise Refused(f"AWS is out of reach: {error}") from error
