"""How the provider answers a void's POST: what it does, and the bytes that it says.

The statuses and shapes that it documents, and those that it, a load balancer or a broken connection may show instead.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.financial_line import FinancialLine, Operation, Post, Project, fields
from tests.faults.wire import DRIP, STALL

Written = Callable[["Post", Operation | None], bytes | None]
PAGE = b"<html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>"
ABSURD = b"1e1000000000000000000"
HALF = b'"\\ud83d half of a pair"'


@dataclass(frozen=True, slots=True)
class PostAnswer:
    """One way to answer. `effect`: the status of the void that comes to be; None: nothing is done."""

    name: str
    effect: str | None
    write: Written
    currency: str | None = None
    """Executed in another currency."""


def http(
    status: int, body: bytes = b"", kind: str = "application/json", length: int | None = None, more: str = ""
) -> bytes:
    """An answer as on the wire. `length`: what it claims, where its body is cut short."""
    length = len(body) if length is None else length
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\n{more}Content-Length: {length}\r\n\r\n"
    return head.encode() + body


def text(value: object) -> bytes:
    """JSON in the provider's spelling."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def error(status: int, code: object = "P-400", message: str = "refused", **more: object) -> bytes:
    """The documented error shape."""
    return http(status, text({"message": message, "args": {"code": code}, **more}))


NO_ORDER = error(404, "P-404", "no such order")
CREDENTIALS = error(401, "S-403", "Invalid pos_id field or credentials")
S_404 = error(404, "S-404", "Invalid pos_id field or credentials")


def cut(answer: bytes, by: int = 10) -> bytes:
    """The same, without its last bytes."""
    return answer[:-by]


def shortened(answer: bytes, by: int = 10) -> bytes:
    """A body that ends early, and says so: JSON cut in the middle."""
    body = answer.partition(b"\r\n\r\n")[2][:-by]
    return http(int(answer[9:12]), body)


def _says(answer: bytes | None) -> Written:
    return lambda _post, _operation: answer


def _operation(post: Post, operation: Operation | None, **more: object) -> bytes:
    assert operation is not None
    return text(fields(operation, **more))  # type: ignore[arg-type]


def _with(old: bytes, new: bytes) -> Written:
    return lambda post, operation: http(200, _operation(post, operation).replace(old, new, 1))


def _whole(post: Post, operation: Operation | None) -> bytes:
    return http(200, _operation(post, operation))


def _others(order: str = "order-9", project: Project | None = None) -> Written:
    def write(post: Post, _: Operation | None) -> bytes:
        its = project or post.project
        assert its is not None
        stranger = Operation(98, "void", its, order, "UAH", [(0, "success")])
        return http(200, text(fields(stranger)))

    return write


def _another_project(post: Post, operation: Operation | None) -> bytes:
    return http(200, _operation(post, operation, pos_id="11111111-2222-4333-8444-555555555555"))


def _plain() -> list[PostAnswer]:
    """As documented."""
    return [
        PostAnswer("success", "success", _whole),
        PostAnswer("pending", "pending", _whole),
        PostAnswer("init", "init", _whole),
        PostAnswer("failure", "failure", _whole),
        PostAnswer("refused", None, _says(error(400))),
        PostAnswer("refused for its fields", None, _says(http(422, text({"message": "fields", "args": [{"field_name": "order_currency", "violation": "x"}]})))),
        PostAnswer("refused without a code", None, _says(http(403, text({"message": "forbidden"})))),
        PostAnswer("no such order", None, _says(NO_ORDER)),
        PostAnswer("throttled", None, _says(http(429))),
        PostAnswer("bad credentials", None, _says(CREDENTIALS)),
        PostAnswer("bad credentials as S-404", None, _says(S_404)),
    ]  # fmt: skip


FORMS: dict[str, bytes | None] = {
    "500": http(500, text({"message": "internal error"})),
    "502 page": http(502, PAGE, "text/html"),
    "503": http(503, PAGE, "text/html"),
    "504": http(504),
    "400 page": http(400, PAGE, "text/html"),
    "403 page": http(403, PAGE, "text/html"),
    "404 page": http(404, PAGE, "text/html"),
    "404 empty": http(404),
    "404 cut short": cut(NO_ORDER),
    "S-404 cut short": cut(S_404),
    "404 of half a text": shortened(NO_ORDER),
    "405": error(405),
    "406": error(406),
    "408": error(408),
    "409": error(409, "P-409"),
    "423": error(423),
    "425": error(425),
    "redirect": http(302, b"", more="Location: https://elsewhere.invalid/\r\n"),
    "200 page": http(200, PAGE, "text/html"),
    "200 empty": http(200),
    "204": http(204),
    "no status line": b"hello\r\n\r\n",
    "reset": None,
    "packed": http(200, b"\x1f\x8b\x08nonsense", more="Content-Encoding: gzip\r\n"),
}
"""Answers that say nothing about the void: it may be executed or not."""


def _silent() -> list[PostAnswer]:
    return [
        answer
        for form, answer_bytes in FORMS.items()
        for answer in (
            PostAnswer(f"{form}, executed", "success", _says(answer_bytes)),
            PostAnswer(f"{form}, not executed", None, _says(answer_bytes)),
        )
    ]


def _odd() -> list[PostAnswer]:
    """Answers about an executed void that are hard to read, or about something else."""
    return [
        PostAnswer("success cut short", "success", lambda p, o: cut(_whole(p, o))),
        PostAnswer("success of half a text", "success", lambda p, o: shortened(_whole(p, o))),
        PostAnswer("success that stalls", "success", lambda p, o: STALL + cut(_whole(p, o))),
        PostAnswer("success byte by byte", "success", lambda p, o: DRIP + _whole(p, o)),
        PostAnswer("success, absurd amount", "success", _with(b'"amount":100', b'"amount":' + ABSURD)),
        PostAnswer("success, amount 1E+2", "success", _with(b'"amount":100', b'"amount":1E+2')),
        PostAnswer("success, half a surrogate pair", "success", _with(b'"status_code":"1009"', b'"status_description":' + HALF)),
        PostAnswer("success, a name twice", "success", _with(b'"method":', b'"status":"failure","method":')),
        PostAnswer("success without ids", "success", lambda p, o: http(200, _operation(p, o, operation_id=None, transaction_id=None))),
        PostAnswer("success without pos_id", "success", lambda p, o: http(200, _operation(p, o, pos_id=None))),
        PostAnswer("success in another currency", "success", _whole, currency="USD"),
        PostAnswer("success, POS_ID in capitals", "success", lambda p, o: http(200, _operation(p, o).replace(_pos(p), _pos(p).upper()))),
        PostAnswer("antifraud", "antifraud", _whole),
        PostAnswer("another order's success, not executed", None, _others()),
        PostAnswer("another project's success, executed", "success", _another_project),
        PostAnswer("refused, half a surrogate pair", None, _says(http(400, b'{"message":' + HALF + b',"args":{}}'))),
        PostAnswer("refused, absurd number", None, _says(http(400, b'{"message":"no","args":{"code":' + ABSURD + b'}}'))),
        PostAnswer("refused, 201", "failure", lambda p, o: http(201, _operation(p, o))),
    ]  # fmt: skip


def _pos(post: Post) -> bytes:
    assert post.project is not None
    return post.project.pos_id.encode()


ANSWERS = {answer.name: answer for answer in (*_plain(), *_silent(), *_odd())}
DOCUMENTED = tuple(answer.name for answer in _plain())
SILENT = tuple(answer.name for answer in _silent())
ODD = tuple(answer.name for answer in _odd())


def land(bank: FinancialLine, post: Post, name: str) -> bytes | None:
    """The POST reaches the provider, which does what it does; the answer as bytes, None if the connection is reset."""
    answer = ANSWERS[bank.refuses(post) or name]
    operation = None
    if answer.effect is not None and post.project is not None:
        post.executed = answer.effect != "failure"
        currency = answer.currency or post.currency
        operation = bank.operate("void", answer.effect, post.project, post.order, currency, post.attempt_id)
    if operation is None and post.project is None:
        return CREDENTIALS
    return answer.write(post, operation)
