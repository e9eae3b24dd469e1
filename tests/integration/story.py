"""A person at the console, told in rows: `what is done -> what is then seen & what else is seen`.

Done: `void` and `report` by other programs; `form`, `order`, `list` and `go` as a person gets there; `click`, `type`,
`enter`, `press`, `at`, `js` and `pause` on the page; `answer`, `away`, `window` and `media` around it.

Seen, soon: `selector`, `no selector`, `3 selector`, `25+ selector`, `selector = text`, `selector ~ part of it`,
`selector ^ its beginning`, `js expression`. `{name}` is what the story was given, or else an order of its own with such an
id; `{name:5}` the beginning of it.
"""

import json
import re
import time
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from local.sandbox.desk import DEFAULTS
from tests.integration.browser import Page
from tests.integration.client import Client

# Known to each page: all nodes of a selector, and what the list shows.
WORDS = """
window.all = (selector) => [...document.querySelectorAll(selector)];
window.listed = () => all('#lists .id').map((node) => node.textContent);
window.headings = () => all('#lists h3').map((node) => node.textContent).join();
"""
# `answer` gives a function from a path to a Response, an error that is thrown, or null for the real answer.
ANSWERING = """
const real = window.fetch.bind(window), played = PLAYED;
const json = (status, body) => new Response(JSON.stringify(body), {status, headers: {'Content-Type': 'application/json'}});
window.asked = [];
window.fetch = async (path, options) => {
  window.asked.push(String(path));
  const answer = played(String(path));
  if (answer instanceof Error) throw answer;
  return answer ?? real(path, options);
};
"""
CODE = ("js", "answer")
PARTS = {"type": 1, "enter": 1, "window": 1, "void": -1, "report": -1, "form": -1}
TEXTS = {"=": "{0} === {1}", "~": "{0}.includes({1})", "^": "{0}.startsWith({1})"}


def unique(name: str) -> str:
    return f"{name}-{uuid4().hex[:8]}"


def pairs(given: tuple[str, ...]) -> dict[str, str]:
    return dict(pair.split("=") for pair in given)


class Story:
    """What happens in one page: what the page can do is done by it, and the rest is here."""

    def __init__(self, page: Page, client: Client, names: dict[str, Any]) -> None:
        self.page, self.client, self.names = page, client, names
        page.before_each_page(WORDS)

    def play(self, rows: str) -> None:
        for row in filter(None, map(str.strip, rows.splitlines())):
            done, _, seen = f" {row}".partition(" -> ")
            try:
                self._do(*done.strip().partition(" ")[::2])
                for sight in filter(None, seen.split(" & ")):
                    self.page.wait(self._true_when(sight.strip()))
            except AssertionError as error:
                raise AssertionError(f"in the row {row!r}: {error}") from error

    def _do(self, action: str, rest: str) -> None:
        doer = self if hasattr(self, action) else self.page
        parts = [self._fill(part, action in CODE) for part in rest.split(maxsplit=PARTS.get(action, 0))]
        if action:
            getattr(doer, action)(*parts)

    def _fill(self, text: str, as_json: bool) -> str:
        def known(found: re.Match[str]) -> str:
            value = self.names.setdefault(found[1], unique(found[1]))
            value = value[: int(found[2])] if found[2] else value
            return json.dumps(value) if as_json else str(value)

        return re.sub(r"\{([a-z]+)(?::(\d+))?\}", known, text)

    def _true_when(self, sight: str) -> str:
        """The expression that is true when it is seen."""
        if sight.startswith("js "):
            return self._fill(sight[3:], as_json=True)
        if sight.startswith("no "):
            return f"!({self._true_when(sight[3:])})"
        if counted := re.fullmatch(r"(\d+)(\+?) (.+)", sight):
            return f"all({json.dumps(counted[3])}).length {'>=' if counted[2] else '==='} {counted[1]}"
        if told := re.fullmatch(r"(\S.*?) ([=~^]) (.*)", sight):
            text = "document.body.innerText" if told[1] == "body" else f"all({json.dumps(told[1])})[0].textContent"
            return TEXTS[told[2]].format(text, json.dumps(self._fill(told[3], as_json=False)))
        return f"all({json.dumps(sight)}).some((node) => node.checkVisibility())"

    def void(self, order_id: str, *faults: str, comment: str = "10101") -> None:
        self.client.hold(order_id, **pairs(faults))
        answer = self.client.submit(order_id, comment=comment)
        assert answer.status in (200, 202, 409), answer.body

    def report(self, order_id: str, *changes: str) -> None:
        self.client.report(order_id, **pairs(changes))

    def form(self, order_id: str, *faults: str, comment: str = "") -> None:
        self.play("go #new -> 3 #faults select & #new")
        for kind, name in (DEFAULTS | pairs(faults)).items():
            self.page.js(f"all('[name={kind}]')[0].value = {json.dumps(name)}")
        if comment:
            self.page.type("[name=comment]", comment)
        self.page.type("[name=order_id]", order_id)
        self.page.js("all('#create button')[0].focus()")
        self.page.press("Enter")
        self.page.wait(self._true_when(f"#void-title = Order {order_id}"))

    def order(self, order_id: str) -> None:
        self.go(f"#order={quote(order_id, safe='')}")
        self.page.wait(self._true_when(f"#void-title = Order {order_id}"))

    def list(self, place: str = "") -> None:
        self.go(f"#{place}")
        self.page.wait(self._true_when("#connection = live"))

    def go(self, place: str = "") -> None:
        self.page.go(f"{self.client.service.url}/{place}")

    def at(self, place: str) -> None:
        self.page.js(f"location.hash = {json.dumps(place)}")

    def enter(self, selector: str, text: str) -> None:
        self.page.type(selector, text)
        self.page.press("Enter")

    def pause(self, seconds: str) -> None:
        time.sleep(float(seconds))

    def answer(self, script: str) -> None:
        self.page.before_each_page(ANSWERING.replace("PLAYED", script))
