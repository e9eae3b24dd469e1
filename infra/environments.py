"""The environments as frozen values: the only place where they differ. What may be set: `environment.py`."""

from collections.abc import Iterable

from infra.environment import Environment, TokenIssuer

RIGHTS = {"submit": "submit", "read": "read"}

ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment(name="test"),
        Environment(name="prod", production=True, log_retention_days=400, termination_protection=True, canary=True),
        Environment(
            name="local",
            local=True,
            # Whom the local gateway lets in with the keys `local` and `operator`.
            callers=("arn:aws:iam::000000000000:role/local-merchant",),
            operators=("arn:aws:iam::000000000000:role/local-operator",),
            # Served by the sandbox's side with AUTH=token; without it no token is good.
            token_issuers=(TokenIssuer(url="https://tokens.invalid", audiences=("void-service",), scopes=RIGHTS),),
            token_callers=("shop", "reader"),
            webhook_addresses=("127.0.0.1/32",),
            pos_id="dc728de1-51ef-4ef1-80f7-3b44b07b5667",  # the sandbox's, from the provider's published examples
        ),
    )
}


def refuse_a_shared_project(known: Iterable[Environment]) -> None:
    """Two environments with one `pos_id`: a void of `test` would release a real hold."""
    owners: dict[str, str] = {}
    for each in known:
        owner = owners.setdefault(each.pos_id or each.name, each.name)
        if owner != each.name:
            raise ValueError(f"{each.name}.pos_id = {each.pos_id!r}: expected another than that of {owner}")


refuse_a_shared_project(ENVIRONMENTS.values())


def named(name: str) -> Environment:
    if name not in ENVIRONMENTS:
        raise ValueError(f"environment = {name!r}: expected one of {', '.join(ENVIRONMENTS)}")
    return ENVIRONMENTS[name]
