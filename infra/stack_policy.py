"""The stack policy: CloudFormation may change what holds data, and never replace or delete it.

`make deploy` sets it; CloudFormation then refuses an update that would, whoever asks for it. Never imports the CDK.
"""

from typing import Any

# By type and not by name: a resource that lost its name in the template would be deleted under the old one.
KEPT = ("AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::KMS::Key")


def stack_policy() -> dict[str, Any]:
    return {
        "Statement": [
            {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"},
            {
                "Effect": "Deny",
                "Action": ["Update:Replace", "Update:Delete"],
                "Principal": "*",
                "Resource": "*",
                "Condition": {"StringEquals": {"ResourceType": list(KEPT)}},
            },
        ]
    }
