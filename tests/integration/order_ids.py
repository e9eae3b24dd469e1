"""Order ids that a path must encode: what a merchant may choose and a client may get wrong."""

from uuid import uuid4

AWKWARD = (
    "a b", "a/b", "100%", "a+b", 'a"b', "é", "🎫", "a%2Fb", "a%20b", "../a", "//", "a&b=c?d#e", "a;b", "a\\b", "!'()*", "日本",
    "~a.b_c-d",
)  # fmt: skip
SENT = (
    "a b", "a/b", "100%", "a%2Fb", "a+b", 'a"b', "é", "🧾", "~a.b_c-d", "a&b=c?d#e;f:g@h,i$j'k(l)*m!", ' /%+"é🧾 %41',
)  # fmt: skip
"""What a path must encode, what JSON must escape, and letters beyond ASCII; all of it in one at the end."""
ALL_AT_ONCE = "a b/%+\"é🎫%2F;&?#\\'~"


def fresh(ending: str) -> str:
    """An id that nobody else uses, with this at its end."""
    return f"{uuid4().hex[:10]}{ending}"


def whole(like: str) -> str:
    """One that nobody else uses, as long as may be, and without a blank at an end."""
    return f"{uuid4().hex[: 31 - len(like)]}{like}z"
