"""What API Gateway answers by itself, instead of a function."""


class GatewayError(Exception):
    """`kind` is the response type, whose template a stack may set."""

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        status: int | None = None,
        error_type: str | None = None,
        member: str = "message",
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.kind, self.status, self.error_type = kind, status, error_type
        self.member = member  # what the default body calls the message
        self.hint = "".join(c if c.isascii() and c.isprintable() else "?" for c in hint)
        """For who runs this locally: what is wrong. A stack's own template may leave the message out."""


def refused(kind: str, message: str, error_type: str | None = None) -> GatewayError:
    """For a request that does not prove who sent it: the message helps."""
    return GatewayError(kind, message, error_type=error_type, hint=message)


def lambda_failed() -> GatewayError:
    """What is said of a function that failed, whatever it said itself."""
    return GatewayError("DEFAULT_5XX", "Internal server error", status=502)
