"""The pages of the browser console in a real browser: what a person sees, reaches and is shown.

Without Chromium these tests are skipped. Where the service would have to fail, the page's own `fetch` is made to.
"""

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from botocore.credentials import ReadOnlyCredentials

from local.merchant import Caller, send
from local.sandbox.desk import DEFAULTS
from local.service import CREDENTIALS, Service
from ops import console
from ops.places import Place
from tests.integration.axe_core import axe_core
from tests.integration.browser import Browser, Page, chromium

ROOT = Path(__file__).parents[2]
HOSTILE = "<img src=x onerror=\"document.title='executed'\"><script>document.title='executed'</script>"
LONGEST_COMMENT = 2048
LISTED = "[...document.querySelectorAll('#lists .id')].map((node) => node.textContent)"
HEADINGS = "[...document.querySelectorAll('#lists h3')].map((node) => node.textContent).join()"
LOOKS = (("light", 1280), ("dark", 320), ("dark", 1280))
IDS = ["a b+", 'é"🙂', "?a=b#c&d", "..\\%2F"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.page() as page:
        yield page
        assert page.problems == []


def unique(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


def void(
    merchant: Caller, sandbox: Callable[..., Any], order_id: str, comment: str = "10101", **faults: str
) -> dict[str, Any]:
    """A hold and its void, as another program makes them; the API's answer."""
    sandbox("POST", "/holds", {"order_id": order_id, "amount": 100, "currency": "UAH"})
    if faults:
        sandbox("PUT", f"/faults/{quote(order_id, safe='')}", faults)
    answer = merchant.post("/v1/voids", {"order_id": order_id, "order_currency": "UAH", "comment": comment})
    assert answer.status in (200, 202, 409), answer.body
    document: dict[str, Any] = answer.json
    return document


def report(service: Service, sandbox: Callable[..., Any], order_id: str, **more: object) -> None:
    """A genuine webhook: the void succeeded."""
    operation = {"method": "void", "status": "success", "order_id": order_id, "pos_id": CREDENTIALS["pos_id"],
                 "operation_id": uuid.uuid4().hex, "amount": 100, "currency": "UAH"}  # fmt: skip
    form = urlencode(sandbox("POST", "/sign", {"data": operation | more, "secret": "current"})).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert send("POST", f"{service.url}/v1/webhooks/financial-line", form, headers).status == 200


def open_order(page: Page, service: Service, order_id: str) -> None:
    page.go(f"{service.url}/#order={quote(order_id, safe='')}")
    page.wait(f"document.getElementById('void-title').textContent === 'Order ' + {json.dumps(order_id)}")


def open_list(page: Page, service: Service, place: str = "") -> None:
    page.go(f"{service.url}/#{place}")
    page.wait("document.getElementById('connection').textContent === 'live'")


def choose(page: Page, state: str) -> None:
    page.click(f"[name=filter][value={state}]")


def answering(page: Page, script: str) -> None:
    """`script` is a function from a path to a Response, an error that is thrown, or null for the real answer."""
    page.before_each_page(
        f"const real = window.fetch.bind(window), played = {script}; window.asked = []; window.fetch = async (path, options) => {{"
        " window.asked.push(String(path)); const answer = played(String(path)); if (answer instanceof Error) throw answer;"
        " return answer ?? real(path, options); };"
        "const json = (status, body) => new Response(JSON.stringify(body), {status, headers: {'Content-Type': 'application/json'}});"
    )


def hold_and_void(page: Page, service: Service, order_id: str, comment: str, **faults: str) -> None:
    page.go(f"{service.url}/#new")
    page.wait("document.querySelectorAll('#faults select').length === 3 && !document.getElementById('new').hidden")
    page.type("[name=order_id]", order_id)
    if comment:
        page.type("[name=comment]", comment)
    for kind, name in (DEFAULTS | faults).items():
        page.evaluate(f"document.querySelector('[name={kind}]').value = {json.dumps(name)}")
    page.evaluate("document.querySelector('#create button').focus()")
    page.press("Enter", "\r")
    page.wait(f"document.getElementById('void-title').textContent === 'Order ' + {json.dumps(order_id)}")


# A void, from the form to its record. The first page is what a commit can break; the others are for the night.


def test_a_void_is_made_in_the_form_and_seen_live(page: Page, service: Service, merchant: Caller) -> None:
    order_id = f"<b>x</b>{uuid.uuid4().hex[:6]}"
    hold_and_void(page, service, order_id, HOSTILE, answer="success", webhook="twice")
    page.wait("document.querySelector('#void .title .badge.voided')")
    page.wait("document.querySelector('#void .timeline li.event')")
    page.wait(f"document.getElementById('void').textContent.includes({json.dumps(HOSTILE)})")
    text = page.text()
    record = merchant.get(f"/v1/voids/{quote(order_id, safe='')}").json
    assert [
        said for said in (record["provider"]["operation_id"], "1 void executed", "Answer 200 after") if said not in text
    ] == []
    assert page.evaluate("document.querySelectorAll('main img, main script, main b, #lists b').length") == 0
    # Even a page that made the mistake would be stopped.
    stopped = "(() => { try { document.createElement('p').innerHTML = '<i>'; return false } catch { return true } })()"
    assert page.evaluate(stopped) is True
    (said,) = page.problems
    assert "TrustedHTML" in said
    page.problems.clear()
    open_list(page, service)  # remembered by the browser, as it is no longer unsettled
    page.wait(f"document.getElementById('list-opened').parentElement.innerText.includes({json.dumps(order_id)})")
    assert "executed" not in page.evaluate("document.title")


@pytest.mark.proof
def test_a_void_that_is_not_settled_is_queried(page: Page, service: Service) -> None:
    hold_and_void(page, service, unique("lost"), "", answer="garbage", webhook="none")
    page.wait("document.querySelector('#void .title .badge.unknown')")
    page.click("[data-key=refresh]")
    page.wait("document.querySelector('#void .title .badge.voided')")
    assert "order query" in page.text()


@pytest.mark.proof
@pytest.mark.parametrize("order_id", IDS, ids=ascii)
def test_every_order_id_goes_there_and_back(page: Page, service: Service, merchant: Caller, order_id: str) -> None:
    wanted = f"{order_id} {uuid.uuid4().hex[:6]}{order_id}"
    hold_and_void(page, service, wanted, "")
    page.wait("document.querySelector('#void .title .badge.voided')")
    assert merchant.get(f"/v1/voids/{quote(wanted, safe='')}").json["order_id"] == wanted
    open_list(page, service, "list")
    page.wait(f"{LISTED}.includes({json.dumps(wanted)})")
    row = f"[...document.querySelectorAll('#lists a')].find((row) => row.dataset.order === {json.dumps(wanted)})"
    page.evaluate(f"{row}.click()")
    page.wait(f"document.querySelector('#void .badge.voided') && document.title.includes({json.dumps(wanted)})")
    page.evaluate("location.hash = '#list'")
    page.type("#find-id", wanted)
    page.press("Enter", "\r")
    page.wait(f"document.getElementById('void-title').textContent === 'Order ' + {json.dumps(wanted)}")
    page.wait("document.querySelector('#void .title .badge.voided')")


@pytest.mark.proof
def test_a_refusal_a_review_and_a_decision_are_shown(
    page: Page, service: Service, merchant: Caller, sandbox: Callable[..., Any]
) -> None:
    refused, order_id = unique("refused"), unique("review")
    void(merchant, sandbox, refused, answer="failure")
    open_order(page, service, refused)
    page.wait("document.getElementById('said').textContent.includes('4150')")
    void(merchant, sandbox, order_id)
    report(service, sandbox, order_id, operation_id="another")
    open_order(page, service, order_id)
    page.wait("document.querySelector('#void .reviews').innerText.includes('second-void')")
    page.wait("document.querySelectorAll('#void .scroll').length >= 2")
    page.evaluate("document.getElementById('decide').open = true")
    for _ in range(2):  # the decision queries the provider first, and what it learns makes another record
        page.click("[name=decision][value=reviewed]")
        page.type("[name=note]", HOSTILE)
        page.click("#deciding button")
        with suppress(AssertionError):
            page.wait("!document.querySelector('#void .title .badge.review')", 5)
            break
    page.wait(f"document.getElementById('void').innerText.includes({json.dumps(HOSTILE)})")
    record = merchant.get(f"/v1/voids/{order_id}").json
    assert [(one["decision"], one["note"]) for one in record["decisions"]] == [("reviewed", HOSTILE)]
    assert record["decisions"][0]["by"].endswith("local-operator")


# The list


@pytest.fixture(scope="module")
def many(service: Service, merchant: Caller, sandbox: Callable[..., Any]) -> Iterator[list[str]]:
    """More unsettled voids than one page of the list holds."""
    orders = [unique("many") for _ in range(30)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda order_id: void(merchant, sandbox, order_id, answer="pending", webhook="none"), orders))
        yield orders
        list(pool.map(lambda order_id: report(service, sandbox, order_id), orders))


@pytest.mark.proof
def test_the_list_goes_on_page_by_page_and_its_address_leads_back_there(
    page: Page, service: Service, many: list[str]
) -> None:
    open_list(page, service)
    page.click("[data-key=all-unsettled]")
    seen, number = list[str](), 1
    while True:
        page.wait(f"document.getElementById('page-number').textContent === 'Page {number}' && {LISTED}.length > 0")
        page.wait(f"!{json.dumps(seen)}.includes({LISTED}[0])")
        seen += page.evaluate(LISTED)
        if page.evaluate("document.getElementById('next').getAttribute('aria-disabled') === 'true'"):
            break
        page.evaluate("document.getElementById('next').focus()")
        page.press("Enter", "\r")
        number += 1
        assert page.evaluate("document.activeElement.id") == "next"
    assert number > 1
    assert set(many) <= set(seen)
    last, shown = page.evaluate("location.hash"), page.evaluate(LISTED)
    page.click("#previous")
    page.wait(f"document.getElementById('page-number').textContent === 'Page {number - 1}' && {LISTED}.length === 25")
    open_list(page, service, last.removeprefix("#"))
    page.wait(f"JSON.stringify({LISTED}) === {json.dumps(json.dumps(shown, separators=(',', ':')))}")
    page.click("#previous")  # its cursors before are not known here
    page.wait("document.getElementById('page-number').textContent === 'Page 1'")


@pytest.mark.proof
def test_the_list_shows_what_is_chosen_by_state_by_day_and_by_beginning(
    page: Page, service: Service, merchant: Caller, sandbox: Callable[..., Any], many: list[str]
) -> None:
    review = unique("review")
    void(merchant, sandbox, review)
    report(service, sandbox, review, operation_id="another")
    open_list(page, service)
    page.wait(f"{HEADINGS}.startsWith('Unsettled,In review')")
    choose(page, "review")
    page.wait(f"{LISTED}.includes({json.dumps(review)}) && {HEADINGS} === 'In review'")
    choose(page, "settled")
    page.wait(f"{HEADINGS}.startsWith('Settled on 2') && !document.getElementById('days').hidden")
    page.type("#find-id", review[:10])
    page.wait(f"JSON.stringify({LISTED}) === {json.dumps(json.dumps([review]))}")
    assert re.fullmatch(r"#state=settled&day=\d{4}-\d\d-\d\d&begins=review-\w{3}", page.evaluate("location.hash"))
    page.click("#day-before")
    page.wait("document.getElementById('empty').textContent.includes('searched by day')")
    open_list(page, service, f"begins={many[0][:9]}")
    page.wait(f"{LISTED}.includes({json.dumps(many[0])})")
    assert page.evaluate("document.getElementById('find-id').value") == many[0][:9]


@pytest.mark.proof
def test_the_overview_draws_what_it_says_and_what_has_left(
    page: Page, service: Service, merchant: Caller, sandbox: Callable[..., Any], many: list[str]
) -> None:
    order_id = unique("left")
    void(merchant, sandbox, order_id)
    open_list(page, service, "overview")
    page.wait("document.querySelectorAll('#charts table').length === 3")
    page.wait(f"document.getElementById('left').innerText.includes({json.dumps(order_id)})")
    numbers = (
        "[...document.querySelectorAll('#charts table:first-of-type .number')].map((node) => Number(node.textContent))"
    )
    assert sum(page.evaluate(numbers)) > 0
    assert page.evaluate("document.querySelectorAll('#charts rect').length") > 20


@pytest.mark.proof
def test_the_list_is_used_with_the_keyboard(page: Page, service: Service, many: list[str]) -> None:
    open_list(page, service)
    page.wait("document.querySelectorAll('#lists a').length >= 2")
    page.evaluate("document.querySelector('#lists a').focus()")
    page.press("ArrowDown")
    wanted = page.evaluate("document.activeElement.dataset.order")
    assert wanted == page.evaluate("document.querySelectorAll('#lists a')[1].dataset.order")
    page.press("Enter", "\r")
    page.wait(f"document.getElementById('void-title').textContent.includes({json.dumps(wanted)})")
    open_list(page, service)
    page.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"


CURSOR = "x+/=&%?#~é" * 409 + "123456"  # 4,096 characters


@pytest.mark.proof
def test_a_cursor_is_opaque_as_long_as_the_contract_allows_and_may_be_gone(page: Page, service: Service) -> None:
    record = {"order_id": "123", "state": "pending", "pos_id": "p", "review": False, "requested_at": None}
    answering(
        page,
        f"(path) => !path.startsWith('/v1/voids?') ? null : window.gone && path.includes('cursor=') ? json(400, {{status: 400, detail: 'x'}})"
        f" : json(200, {{voids: [{json.dumps(record)}], cursor: path.includes('cursor=') ? null : {json.dumps(CURSOR)}}})",
    )
    open_list(page, service, "state=unsettled")
    page.click("#next")
    page.wait("document.getElementById('page-number').textContent === 'Page 2'")
    page.wait("window.asked.some((path) => path.includes('cursor='))")
    asked = page.evaluate("window.asked.findLast((path) => path.includes('cursor='))")
    assert asked == f"/v1/voids?cursor={quote(CURSOR, safe='-._~')}&limit=25&state=unsettled"
    page.evaluate("window.gone = true")
    page.wait("document.getElementById('list-problem').textContent.includes('no longer there')")
    page.wait("document.getElementById('page-number').textContent === 'Page 1'")


@pytest.mark.proof
def test_a_cursor_is_signed_as_it_is_sent(page: Page, service: Service) -> None:
    """The API refuses what is no cursor of its own, and not the signature."""
    open_list(page, service)
    cursor = "a b+/=&%?#~é!*()"
    status = f"import('/console/api.js').then((api) => api.listVoids('review', 5, {json.dumps(cursor)})).then((answer) => answer.status)"
    assert page.evaluate(status) == 400


@pytest.mark.proof
def test_the_list_names_the_project_where_there_is_more_than_one(page: Page, service: Service) -> None:
    """The API reads single records of its own project only: of another one's the page shows what the list has."""
    records: list[dict[str, Any]] = [
        {"order_id": "old-1", "pos_id": pos_id, "state": "pending", "review": False, "history": [], "provider": None}
        for pos_id in ("11111111-old", "22222222-new")
    ]
    answering(
        page,
        f"(path) => path.includes('state=review') ? json(200, {{voids: [], cursor: null}})"
        f" : path.startsWith('/v1/voids?') ? json(200, {{voids: {json.dumps(records)}, cursor: null}})"
        f" : path === '/v1/voids/old-1' ? json(200, {json.dumps(records[1])}) : null",
    )
    open_list(page, service)
    page.wait("document.querySelectorAll('#lists a').length === 2")
    rows = page.evaluate("[...document.querySelectorAll('#lists .quiet')].map((node) => node.textContent)")
    assert rows == ["project 11111111…", "project 22222222…"]
    page.evaluate("document.querySelector('#lists a').click()")
    page.wait("document.getElementById('notice').textContent.includes('belongs to another project, 11111111-old')")
    page.evaluate("document.querySelectorAll('#lists a')[1].click()")
    page.wait("document.querySelector('#void dd') && !document.getElementById('notice')")


# What is said when something is wrong


@pytest.mark.proof
@pytest.mark.parametrize(
    ("order_id", "says"), [("..", "is not an order id"), ("0", "is not an order id"), ("a" * 33, "33 characters")]
)
def test_what_is_no_order_id_is_said_and_not_requested(page: Page, service: Service, order_id: str, says: str) -> None:
    answering(page, "() => null")
    open_list(page, service)
    page.type("#find-id", order_id)
    page.press("Enter", "\r")
    page.wait(f"document.getElementById('find-problem').textContent.includes({json.dumps(says)})")
    open_order(page, service, order_id)
    page.wait(f"document.getElementById('notice').textContent.includes({json.dumps(says)})")
    page.go(f"{service.url}/#new")
    page.wait("document.querySelectorAll('#faults select').length === 3")
    page.type("[name=order_id]", order_id)
    page.press("Enter", "\r")
    page.wait(f"document.getElementById('problem').textContent.includes({json.dumps(says)})")
    asked = page.evaluate("window.asked")
    assert [path for path in asked if "/voids/" in path or "/orders/" in path or "/holds" in path] == []


@pytest.mark.proof
@pytest.mark.parametrize(
    ("order_id", "says"),
    [
        ("e\u0301", "This is not an order id. The API answered 400."),
        ("nobody", "No void was requested or reported for this order."),
    ],
)
def test_what_the_api_says_of_an_order_id_is_said(page: Page, service: Service, order_id: str, says: str) -> None:
    open_order(page, service, order_id)
    page.wait(f"document.getElementById('notice').textContent.startsWith({json.dumps(says)})")


@pytest.mark.proof
@pytest.mark.parametrize("broken", ["new TypeError('Failed to fetch')", "new Response(new ReadableStream({start: (c) => c.error(new TypeError('network error'))}))"])  # fmt: skip
def test_a_service_that_is_away_is_said_in_a_sentence(page: Page, service: Service, broken: str) -> None:
    answering(page, f"(path) => window.away ? {broken} : null")
    open_list(page, service)
    page.evaluate("window.away = true")
    page.wait("!document.getElementById('trouble').hidden")
    text = page.text()
    assert "The local service does not answer. Is `make run` still running? What is shown is from " in text
    assert [word for word in ("fetch", "network error") if word in text] == []
    page.type("[name=order_id]", unique("away"))
    page.press("Enter", "\r")
    page.wait("document.getElementById('problem').textContent.startsWith('The local service does not answer.')")
    page.evaluate("window.away = false")
    page.wait("document.getElementById('trouble').hidden")


@pytest.mark.proof
def test_without_configuration_or_javascript_the_page_says_what_helps(page: Page, service: Service) -> None:
    answering(page, "(path) => path.endsWith('config.json') ? new TypeError('Failed to fetch') : null")
    page.go(f"{service.url}/")
    page.wait("document.getElementById('trouble').textContent.endsWith('Then load this page again.')")
    page.problems.clear()  # nothing else of the page runs: the browser notes that
    page.command("Emulation.setScriptExecutionDisabled", value=True)
    page.go(f"{service.url}/")
    time.sleep(1)
    page.command("Emulation.setScriptExecutionDisabled", value=False)
    assert "needs JavaScript" in page.text()
    assert "Hold and void" not in page.text()


LOST = {"title": "The outcome is not known", "status": 504, "detail": "The answer was lost. Repeat the same request."}


@pytest.mark.proof
def test_what_cannot_be_read_keeps_what_was_known_and_is_no_lost_answer(
    page: Page, service: Service, merchant: Caller, sandbox: Callable[..., Any], many: list[str]
) -> None:
    answering(page, f"(path) => window.failing && path.includes(window.failing) ? json(504, {json.dumps(LOST)}) : null")
    open_order(page, service, many[0])
    page.wait(
        "document.querySelector('#void .title .badge.pending') && document.querySelectorAll('#lists a').length >= 25"
    )
    page.evaluate("window.failing = '/v1/voids?'")
    says = "The list could not be read. The API answered 504. What is shown is from"
    page.wait(f"document.getElementById('list-problem').textContent.startsWith({json.dumps(says)})")
    assert page.evaluate("document.querySelectorAll('#lists a').length") >= 25
    assert page.evaluate("document.getElementById('connection').textContent") == "live"
    page.evaluate("window.failing = '/voids/'")
    says = "The record could not be read. The API answered 504. What is"
    page.wait(f"document.getElementById('notice').textContent.startsWith({json.dumps(says)})")
    assert page.evaluate("Boolean(document.querySelector('#void .title .badge.pending'))")
    assert "answer was lost" not in page.text()


# Over a deployed API


@pytest.mark.proof
def test_prod_cannot_be_mistaken_and_nothing_is_sent_without_its_name(
    page: Page, service: Service, merchant: Caller, sandbox: Callable[..., Any]
) -> None:
    order_id = unique("prod")
    sandbox("POST", "/holds", {"order_id": order_id, "amount": 100, "currency": "UAH"})
    place = Place(
        "VoidService-prod",
        service.region,
        None,
        ReadOnlyCredentials("local", "local-secret", None),
        f"{service.url}/v1",
    )
    deployed = console.Console(place, True, True)
    with console.start(deployed, 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        answering(page, "() => window.away ? new TypeError('x') : null")
        page.go(deployed.url)
        page.wait("document.getElementById('connection').textContent === 'live'")
        for where in ("#list", "#overview", "#new", "#order=1"):
            page.evaluate(f"location.hash = {json.dumps(where)}")
            page.wait(
                "document.title.startsWith('PROD · ') && document.getElementById('environment').textContent === 'PROD: real money'"
            )
            assert (
                page.evaluate("getComputedStyle(document.querySelector('.top')).backgroundColor") == "rgb(163, 19, 11)"
            )
        page.go(f"http://127.0.0.1:{deployed.port}/#new")
        page.wait("!document.getElementById('new').hidden && !document.querySelector('[name=amount]')")
        for confirm, says in (("", "Type prod to confirm"), ("prod", "")):
            page.type("[name=order_id]", order_id)
            page.type("[name=confirm]", confirm) if confirm else None
            page.click("#create button")
            page.wait(f"document.getElementById('problem').textContent.startsWith({json.dumps(says)})")
        page.wait("document.querySelector('#void .title .badge.voided')")
        page.evaluate("window.away = true")
        page.wait("document.getElementById('trouble').textContent.includes('python -m ops console')")
        server.shutdown()
    assert merchant.get(f"/v1/voids/{order_id}").json["state"] == "voided"


# The page itself


@pytest.fixture(scope="module")
def wordy(merchant: Caller, sandbox: Callable[..., Any]) -> str:
    """A refused void with the longest comment, in words that are hard to break."""
    order_id = unique("wordy")
    void(merchant, sandbox, order_id, "Wörter🙂" * (LONGEST_COMMENT // 8), answer="http_400")
    return order_id


def open_all(page: Page, service: Service, order_id: str) -> None:
    open_order(page, service, order_id)
    page.wait("document.querySelector('#void .panel') && document.querySelectorAll('#lists a').length >= 25")
    page.evaluate("document.querySelectorAll('details').forEach((item) => { item.open = true })")


def open_view(page: Page, service: Service, wordy: str, view: str) -> None:
    if view == "order":
        return open_all(page, service, wordy)
    page.go(f"{service.url}/{'reference' if view == 'reference' else f'#{view}'}")
    ready = {
        "reference": "document.querySelectorAll('.opblock').length > 3",
        "overview": "document.querySelectorAll('#charts table').length === 3",
    }
    return page.wait(ready.get(view, "document.querySelectorAll('#lists a').length >= 25"))


@pytest.mark.proof
def test_a_long_comment_is_short_until_it_is_asked_for(page: Page, service: Service, wordy: str) -> None:
    page.window(320)
    open_order(page, service, wordy)
    page.wait("document.querySelector('.long')")
    page.click(".long summary")
    assert page.evaluate("document.querySelector('.long .whole').textContent.length") > LONGEST_COMMENT * 0.99
    time.sleep(1)  # it stays open while the page is read again
    assert page.evaluate("document.querySelector('.long').open")


OUTSIDE = "[...document.querySelectorAll('body *')].filter((node) => node.getBoundingClientRect().right > 321 && !node.closest('.scroll, pre, .hidden, .skip, svg')).map((node) => node.outerHTML.slice(0, 120))"
SCROLLING = "[...document.querySelectorAll('body *')].filter((node) => node.checkVisibility() && /auto|scroll/.test(getComputedStyle(node).overflowY) && node.scrollHeight > node.clientHeight + 1 && !node.matches('pre, .whole, textarea')).map((node) => node.className)"
COVERED = """(() => {
  const focusable = [...document.querySelectorAll('a, button, input, select, summary, [tabindex]')]
    .filter((node) => node.checkVisibility() && !node.closest('.skip') && node.type !== 'radio');
  const covered = [];
  for (const node of focusable.reverse()) {
    node.focus();
    const box = node.getBoundingClientRect();
    const [x, y] = [box.left + Math.min(box.width / 2, 20), Math.max(box.top + 2, 1)];
    const top = document.elementFromPoint(x, y);
    if (!top || !(node.contains(top) || top.contains(node))) covered.push(node.outerHTML.slice(0, 100));
  }
  return [focusable.length > 5, covered];
})()"""


@pytest.mark.proof
@pytest.mark.parametrize("view", ["list", "new", "overview", "order", "reference"])
def test_nothing_is_wider_than_a_small_screen_scrolls_inside_or_is_covered(
    page: Page, service: Service, many: list[str], wordy: str, view: str
) -> None:
    page.window(320, 500)
    open_view(page, service, wordy, view)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.evaluate(OUTSIDE) == []
    if view != "reference":
        assert page.evaluate(SCROLLING) == []
        assert page.evaluate(COVERED) == [True, []]


@pytest.mark.proof
def test_a_void_is_printed_without_what_surrounds_it(page: Page, service: Service, wordy: str) -> None:
    open_order(page, service, wordy)
    page.wait("document.querySelector('#void .panel')")
    page.command("Emulation.setEmulatedMedia", media="print")
    shown = (
        "['.list', '.top nav', '#decide', '.actions'].filter((name) => document.querySelector(name)?.checkVisibility())"
    )
    assert page.evaluate(shown) == []
    assert page.evaluate("document.querySelector('.timeline').checkVisibility()")


# Everybody can use it


def violations(page: Page, axe: str) -> list[str]:
    """Every rule of WCAG 2.2 A and AA and of good practice that the page breaks, and where."""
    page.evaluate(f"{axe}; null")
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = page.evaluate(f"axe.run(document, {{runOnly: {json.dumps(tags)}}})")
    assert len(found["passes"]) > 20
    return [f"{rule['id']}: {node['target']}" for rule in found["violations"] for node in rule["nodes"]]


@pytest.fixture(scope="module")
def axe() -> str:
    source, reason = axe_core()
    if source is None:
        pytest.skip(reason)
    return source


@pytest.mark.proof
@pytest.mark.parametrize(("scheme", "width"), LOOKS)
@pytest.mark.parametrize("view", ["list", "new", "overview", "order", "state=settled", "reference"])
def test_axe_finds_nothing(
    page: Page, service: Service, axe: str, many: list[str], wordy: str, scheme: str, width: int, view: str
) -> None:
    """Of the reference as it opens: what an opened operation shows is made by Swagger UI, which has its own faults."""
    page.window(width)
    page.scheme(scheme)
    if view == "state=settled":
        open_list(page, service, view)
    else:
        open_view(page, service, wordy, view)
    assert violations(page, axe) == []
    if view == "reference":
        page.problems.clear()  # axe tries styles of its own there, and is not let
    if view == "list":
        wanted = {"light": "rgb(246, 247, 249)", "dark": "rgb(16, 19, 24)"}[scheme]
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == wanted


@pytest.mark.proof
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_while_the_console_says_what_is_wrong(
    page: Page, service: Service, axe: str, scheme: str
) -> None:
    page.scheme(scheme)
    answering(
        page,
        "(path) => window.away && !path.includes('voids?') ? new TypeError('x') : window.away ? json(503, {}) : null",
    )
    open_list(page, service, "new")
    page.type("#find-id", "..")
    page.press("Enter", "\r")
    page.evaluate("window.away = true")
    page.wait("!document.getElementById('list-problem').hidden")
    page.type("[name=order_id]", "x")
    page.press("Enter", "\r")
    page.wait("!document.getElementById('problem').hidden")
    assert violations(page, axe) == []


# The reference


def answer_to(page: Page, block: str) -> str:
    """Opens an operation's block if need be and sends its example; the expression of the answer's row."""
    answer = f"document.querySelector('{block} .live-responses-table tbody .response')"
    button = f"document.querySelector('{block} .btn.execute')"
    page.wait(f"{button} || document.querySelector('{block} .opblock-summary-control').click()")
    # A click is lost while Swagger UI is still resolving the operation, so it is repeated: slowly, an answer takes a while.
    for _ in range(10):
        page.evaluate(f"{button}.click()")
        with suppress(AssertionError):
            page.wait(answer, 2)
            return answer
    raise AssertionError((block, page.text(), page.problems))


@pytest.mark.proof
def test_the_reference_shows_every_operation_and_sends_its_examples(page: Page, service: Service) -> None:
    document = json.loads((ROOT / "docs" / "openapi.json").read_bytes())
    operations = {spec["operationId"]: spec for item in document["paths"].values() for spec in item.values()}
    page.go(f"{service.url}/reference")
    page.wait(f"document.querySelectorAll('.opblock').length === {len(operations)}")
    page.evaluate("document.querySelector('#hold button').click()")
    page.wait("document.querySelector('#hold [role=status]').textContent.includes('holds 100 UAH for order 123')")
    for name, spec in operations.items():
        block = f"#operations-{spec['tags'][0]}-{name}"
        answer = answer_to(page, block)
        rows = f"document.querySelectorAll('{block} .responses-table:not(.live-responses-table) > tbody > tr')"
        assert page.evaluate(f"[...{rows}].map((row) => row.dataset.code)") == list(spec["responses"])
        # The example webhook is signed with another secret, so it is refused; no signed request may be.
        status = page.evaluate(f"{answer}.innerText").split()[0]
        assert (status in ("200", "404", "409")) if spec["security"] else (status == "401"), (name, status)
        curl = page.evaluate(f"document.querySelector('{block} .curl').innerText")
        assert ("--aws-sigv4" in curl) is bool(spec["security"])


@pytest.mark.proof
@pytest.mark.parametrize("order_id", ["a/b é", "it's (1)*!", "%2e%2e"])
def test_the_reference_signs_what_is_typed_in(
    page: Page, service: Service, merchant: Caller, sandbox: Callable[..., Any], order_id: str
) -> None:
    order_id = f"{order_id} {uuid.uuid4().hex[:8]}"
    void(merchant, sandbox, order_id, HOSTILE)
    page.go(f"{service.url}/reference#/merchant/readVoid")
    block = "#operations-merchant-readVoid"
    answer = answer_to(page, block)  # what is typed in before the operation is resolved would be lost
    page.type(f"{block} [data-param-name=order_id] input", order_id)
    page.evaluate("document.activeElement.blur()")  # as a real click on the button does: Swagger UI takes the text then
    page.evaluate(f"document.querySelector('{block} .btn.execute').click()")
    # The answer to the example may still be shown: only this order's own counts.
    page.wait(f"{answer}?.innerText.includes({json.dumps(json.dumps(order_id, ensure_ascii=False))})")
    assert page.evaluate(answer + """.innerText.includes('"state": "voided"')""")
    assert page.evaluate(f"{answer}.querySelectorAll('img, script').length") == 0


@pytest.mark.proof
def test_the_reference_keeps_the_digits_of_amounts_and_follows_the_scheme(page: Page, service: Service) -> None:
    page.go(f"{service.url}/reference")
    page.wait("document.querySelector('.opblock')")
    dark = "document.documentElement.classList.contains('dark-mode')"
    for scheme in ("light", "dark"):
        page.scheme(scheme)
        page.wait(f"{dark} === {json.dumps(scheme == 'dark')}")
    page.evaluate(
        "window.fetch = async () => new Response('{\"amount\": 100.00}', {status: 200, headers: {'Content-Type': 'application/json'}})"
    )
    answer = answer_to(page, "#operations-merchant-listVoids")
    assert '"amount": 100.00' in page.evaluate(f"{answer}.innerText")
