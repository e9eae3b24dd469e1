"""A rotation of the secret by the same value: do both stages move, can both be read, and is there a way back?

Promises that the version which was `previous` is labelled first, so that it cannot be deleted meanwhile. Never shows,
keeps or changes a value.
"""

from collections.abc import Iterator

from ops.acceptance.rows import Finding, Probe, judged
from ops.acceptance.site import Site
from ops.acceptance.undo import MARK, making, stages

CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"


def rotate(site: Site) -> Iterator[Finding]:
    """Put the same value once more, and move both stages back."""
    secrets, secret = site.client("secretsmanager"), site.functions["submit_void"].variables["SECRET_ID"]
    before = stages(secrets, secret)
    value = secrets.get_secret_value(SecretId=secret)["SecretString"]
    site.redact.learn(value)
    with making(site, "secret", secret=secret, current=before[CURRENT], previous=before.get(PREVIOUS, "")):
        if PREVIOUS in before:
            secrets.update_secret_version_stage(SecretId=secret, VersionStage=MARK, MoveToVersionId=before[PREVIOUS])
        fresh = secrets.put_secret_value(SecretId=secret, SecretString=value)["VersionId"]
        during = stages(secrets, secret)
        read = [secrets.get_secret_value(SecretId=secret, VersionStage=stage)["SecretString"] == value
                for stage in (CURRENT, PREVIOUS)]  # fmt: skip
        answered = site.read(site.nobody()).status
    after = stages(secrets, secret)
    shown = {
        "new_value_is_current": during.get(CURRENT) == fresh,
        "old_value_is_previous": during.get(PREVIOUS) == before[CURRENT],
        "both_can_be_read": all(read),
        "service_answers": answered == 404,
        "both_are_back": after == before,
    }
    yield judged("aws-rotation", all(shown.values()), shown)


PROBES = (
    Probe(
        rows=("aws-rotation",),
        run=rotate,
        does="put the secret's value once more as a new version, and move both stages back",
        rights=(
            "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "secretsmanager:ListSecretVersionIds",
            "secretsmanager:UpdateSecretVersionStage",
        ),
    ),
)  # fmt: skip
