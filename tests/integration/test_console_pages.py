"""The pages of the browser console in a real browser: what a person sees, reaches and is shown.

Without Chromium these tests are skipped. Where the service would have to fail, the page's own `fetch` is made to.
"""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.axe_core import axe_core
from tests.integration.browser import Page
from tests.integration.client import Client
from tests.integration.order_ids import PATHS
from tests.integration.story import Story, unique
from tests.integration.test_console import place_of, serving

pytestmark = pytest.mark.proof
HOSTILE = "<img src=x onerror=\"document.title='executed'\"><script>document.title='executed'</script>"
LONGEST_COMMENT = 2048
CURSOR = "x+/=&%?#~é" * 409 + "123456"  # 4,096 characters
LOST = {"title": "The outcome is not known", "status": 504, "detail": "The answer was lost. Repeat the same request."}
OLD: dict[str, Any] = {
    "order_id": "old-1", "pos_id": "11111111-old", "state": "pending", "review": False, "history": [], "provider": None,
}  # fmt: skip
NEW = OLD | {"pos_id": "22222222-new"}


@pytest.fixture(scope="module")
def many(client: Client) -> Iterator[list[str]]:
    """More unsettled voids than one page of the list holds."""
    orders = [unique("many") for _ in range(30)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda order_id: client.hold(order_id, answer="pending", webhook="none"), orders))
        list(pool.map(client.submit, orders))
        yield orders
        list(pool.map(client.report, orders))


@pytest.fixture(scope="module")
def wordy(client: Client) -> str:
    """A refused void with the longest comment, in words that are hard to break."""
    order_id = client.hold(unique("wordy"), answer="http_400")
    client.submit(order_id, comment="Wörter🙂" * (LONGEST_COMMENT // 8))
    return order_id


@pytest.fixture
def story(page: Page, client: Client, many: list[str], wordy: str) -> Story:
    return Story(page, client, {
        "many": many[0], "wordy": wordy, "hostile": HOSTILE, "lost": LOST, "old": OLD, "new": NEW, "cursor": CURSOR,
        "asked": f"/v1/voids?cursor={quote(CURSOR, safe='-._~')}&limit=25&state=unsettled",
        "project": {**NEW, "order_id": "123"}, "odd": "a b+/=&%?#~é!*()",
    })  # fmt: skip


AWAY = """
    list
    js window.away = true -> #trouble & body ~ The local service does not answer. Is `make run` still running? What is shown is from  & js !/fetch|network error/.test(document.body.innerText)
    enter [name=order_id] {away} -> #problem ^ The local service does not answer.
    js window.away = false -> no #trouble
"""
NO_ORDER = """
    answer () => null
    list
    enter #find-id {order} -> #find-problem ~ {says} & NOT ASKED
    order {order} -> #notice ~ {says} & NOT ASKED
    go #new -> 3 #faults select
    enter [name=order_id] {order} -> #problem ~ {says} & NOT ASKED
""".replace("NOT ASKED", r"js !asked.some((path) => /\/(voids|orders)\/|\/holds/.test(path))")
STORIES = {
    "a void that is not settled is queried": """
        form {gone} answer=garbage webhook=none -> #void .title .badge.unknown
        click [data-key=refresh] -> #void .title .badge.voided & body ~ order query
    """,
    "a refusal is shown": """
        void {refused} answer=failure
        order {refused} -> #said ~ 4150
    """,
    "the list shows what is chosen by state, by day and by beginning": """
        void {review}
        report {review} operation_id=another
        list -> js headings().startsWith('Unsettled,In review')
        click [name=filter][value=review] -> js listed().includes({review}) && headings() === 'In review'
        click [name=filter][value=settled] -> js headings().startsWith('Settled on 2') & #days
        type #find-id {review:10} -> js listed().join() === {review} & js /^#state=settled&day=\\d{4}-\\d\\d-\\d\\d&begins=review-\\w{3}$/.test(location.hash)
        click #day-before -> #empty ~ searched by day
        list begins={many:9} -> js listed().includes({many}) & js all('#find-id')[0].value === {many:9}
    """,
    "the overview draws what it says and what has left": """
        void {left}
        list overview -> 3 #charts table & #left ~ {left} & 21+ #charts rect & js all('#charts table:first-of-type .number').some((node) => Number(node.textContent))
    """,
    "the list is used with the keyboard": """
        list -> 2+ #lists a
        js all('#lists a')[0].focus()
        press ArrowDown -> js (window.wanted = document.activeElement.dataset.order) === all('#lists a')[1].dataset.order
        press Enter -> js all('#void-title')[0].textContent.includes(wanted)
        list
        press Tab -> js document.activeElement.className === 'skip'
    """,
    "a cursor is opaque, as long as the contract allows, and may be gone": """
        answer (path) => !path.startsWith('/v1/voids?') ? null : window.gone && path.includes('cursor=') ? json(400, {status: 400, detail: 'x'}) : json(200, {voids: [ {project} ], cursor: path.includes('cursor=') ? null : {cursor} })
        list state=unsettled
        click #next -> #page-number = Page 2 & js asked.findLast((path) => path.includes('cursor=')) === {asked}
        js window.gone = true -> #list-problem ~ no longer there & #page-number = Page 1
    """,
    "a cursor is signed as it is sent: the API refuses what is none of its own, and not the signature": """
        list -> js import('/console/api.js').then((api) => api.listVoids('review', 5, {odd})).then((answer) => answer.status === 400)
    """,
    # The API reads single records of its own project only: of another one's the page shows what the list has.
    "the list names the project where there is more than one": """
        answer (path) => path.includes('state=review') ? json(200, {voids: [], cursor: null}) : path.startsWith('/v1/voids?') ? json(200, {voids: [ {old}, {new} ], cursor: null}) : path === '/v1/voids/old-1' ? json(200, {new}) : null
        list -> 2 #lists a & js all('#lists .quiet').map((node) => node.textContent).join() === 'project 11111111…,project 22222222…'
        click #lists a -> #notice ~ belongs to another project, 11111111-old
        js all('#lists a')[1].click() -> #void dd & no #notice
    """,
    "what cannot be read keeps what was known and is no lost answer": """
        answer (path) => window.failing && path.includes(window.failing) ? json(504, {lost}) : null
        order {many} -> #void .title .badge.pending & 25+ #lists a
        js window.failing = '/v1/voids?' -> #list-problem ^ The list could not be read. The API answered 504. What is shown is from & 25+ #lists a & #connection = live
        js window.failing = '/voids/' -> #notice ^ The record could not be read. The API answered 504. What is & #void .title .badge.pending & js !document.body.innerText.includes('answer was lost')
    """,
    "a service that is away is said in a sentence": "answer (path) => window.away ? new TypeError('Failed to fetch') : null" + AWAY,
    "an answer that breaks off is said in the same sentence": "answer (path) => window.away ? new Response(new ReadableStream({start: (c) => c.error(new TypeError('network error'))})) : null" + AWAY,
    "a long comment is short until it is asked for, and then stays": """
        window 320
        order {wordy} -> .long
        click .long summary -> js all('.long .whole')[0].textContent.length > 2027
        pause 1 -> .long[open]
    """,
    "a void is printed without what surrounds it": """
        order {wordy} -> #void .panel
        media print -> .timeline & no .list & no .top nav & no #decide & no .actions
    """,
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
def test_a_story(story: Story, name: str) -> None:
    story.play(STORIES[name])


@pytest.mark.parametrize(("order", "says"), [
    ("..", "is not an order id"), ("0", "is not an order id"), ("a" * 33, "33 characters"),
])  # fmt: skip
def test_what_is_no_order_id_is_said_and_not_requested(story: Story, order: str, says: str) -> None:
    story.names |= {"order": order, "says": says}
    story.play(NO_ORDER)


@pytest.mark.parametrize(("order", "says"), [
    ("e\u0301", "This is not an order id. The API answered 400."),
    ("nobody", "No void was requested or reported for this order."),
])  # fmt: skip
def test_what_the_api_says_of_an_order_id_is_said(story: Story, order: str, says: str) -> None:
    story.names |= {"order": order, "says": says}
    story.play("order {order} -> #notice ^ {says}")


@pytest.mark.parametrize("like", PATHS, ids=ascii)
def test_every_order_id_goes_there_and_back(story: Story, client: Client, like: str) -> None:
    story.names["order"] = order = f"{like} {unique('')[-6:]}{like}"
    story.play("form {order} -> #void .title .badge.voided")
    assert client.read(order)["order_id"] == order
    story.play("""
        list list -> js listed().includes({order})
        js all('#lists a').find((row) => row.dataset.order === {order}).click() -> #void .badge.voided & js document.title.includes({order})
        at #list
        enter #find-id {order} -> #void-title = Order {order} & #void .title .badge.voided
    """)


def test_a_review_and_its_decision_are_shown(story: Story, client: Client) -> None:
    story.play("""
        void {review}
        report {review} operation_id=another
        order {review} -> #void .reviews ~ second-void & 2+ #void .scroll
        js all('#decide')[0].open = true
    """)
    for _ in range(2):  # the decision queries the provider first, and what it learns makes another record
        with suppress(AssertionError):
            story.play("""
                click [name=decision][value=reviewed]
                type [name=note] {hostile}
                click #deciding button
            """)
            story.page.wait("all('#void .title .badge.review').length === 0", 5)
            break
    story.play("-> #void ~ {hostile}")
    (decision,) = client.read(story.names["review"])["decisions"]
    assert (decision["decision"], decision["note"]) == ("reviewed", HOSTILE)
    assert decision["by"].endswith("local-operator")


def test_the_list_goes_on_page_by_page_and_its_address_leads_back_there(story: Story, many: list[str]) -> None:
    page, seen, number = story.page, list[str](), 1
    story.play("list\n click [data-key=all-unsettled]")
    while True:
        page.wait(f"all('#page-number')[0].textContent === 'Page {number}' && listed().length > 0")
        page.wait(f"!{json.dumps(seen)}.includes(listed()[0])")
        seen += page.js("listed()")
        if page.js("all('#next')[0].getAttribute('aria-disabled') === 'true'"):
            break
        story.play("js all('#next')[0].focus()\n press Enter -> js document.activeElement.id === 'next'")
        number += 1
    assert number > 1
    assert set(many) <= set(seen)
    story.names |= {
        "place": page.js("location.hash.slice(1)"),
        "shown": page.js("listed().join()"),
        "before": number - 1,
    }
    story.play("""
        click #previous -> #page-number = Page {before} & js listed().length === 25
        list {place} -> js listed().join() === {shown}
        click #previous -> #page-number = Page 1
    """)  # its cursors before are not known there


def test_without_configuration_or_javascript_the_page_says_what_helps(page: Page, story: Story) -> None:
    story.play("""
        answer (path) => path.endsWith('config.json') ? new TypeError('Failed to fetch') : null
        go -> js all('#trouble')[0].textContent.endsWith('Then load this page again.')
    """)
    page.problems.clear()  # nothing else of the page runs: the browser notes that
    page.command("Emulation.setScriptExecutionDisabled", value=True)
    story.go("")
    time.sleep(1)
    page.command("Emulation.setScriptExecutionDisabled", value=False)
    assert "needs JavaScript" in page.text()
    assert "Hold and void" not in page.text()


def test_prod_cannot_be_mistaken_and_nothing_is_sent_without_its_name(page: Page, story: Story, client: Client) -> None:
    story.names["prod"] = client.hold(unique("prod"))
    story.play("answer () => window.away ? new TypeError('x') : null")
    told = "#environment = PROD: real money & js document.title.startsWith('PROD · ') & js getComputedStyle(all('.top')[0]).backgroundColor === 'rgb(163, 19, 11)'"
    with serving(place_of(client.service, "local"), decides=True, voids=True) as deployed:
        page.go(deployed.url)
        page.wait("all('#connection')[0].textContent === 'live'")
        for where in ("#list", "#overview", "#order=1", "#new"):
            story.play(f"at {where} -> {told}")
        page.go(f"http://127.0.0.1:{deployed.port}/#new")
        story.play("""
            -> #new & no [name=amount]
            type [name=order_id] {prod}
            click #create button -> #problem ^ Type prod to confirm
            type [name=order_id] {prod}
            type [name=confirm] prod
            click #create button -> #void .title .badge.voided
            js window.away = true -> #trouble ~ python -m ops console
        """)
    assert client.read(story.names["prod"])["state"] == "voided"


# The page itself, and everybody can use it

VIEWS = {
    "list": "list -> 25+ #lists a", "new": "list new -> 25+ #lists a", "overview": "list overview -> 3 #charts table",
    "order": "order {wordy} -> #void .panel & 25+ #lists a\n js all('details').forEach((item) => { item.open = true })",
    "reference": "go reference -> 4+ .opblock", "settled": "list state=settled",
}  # fmt: skip
WIDER = "all('body *').filter((node) => node.getBoundingClientRect().right > 321 && !node.closest('.scroll, pre, .hidden, .skip, svg')).map((node) => node.outerHTML.slice(0, 120))"
SCROLLING = "all('body *').filter((node) => node.checkVisibility() && /auto|scroll/.test(getComputedStyle(node).overflowY) && node.scrollHeight > node.clientHeight + 1 && !node.matches('pre, .whole, textarea')).map((node) => node.className)"
COVERED = """(() => {
  const focusable = all('a, button, input, select, summary, [tabindex]')
    .filter((node) => node.checkVisibility() && !node.closest('.skip') && node.type !== 'radio');
  return [focusable.length > 5, focusable.reverse().filter((node) => {
    node.focus();
    const box = node.getBoundingClientRect();
    const top = document.elementFromPoint(box.left + Math.min(box.width / 2, 20), Math.max(box.top + 2, 1));
    return !top || !(node.contains(top) || top.contains(node));
  }).map((node) => node.outerHTML.slice(0, 100))];
})()"""


@pytest.mark.parametrize("view", [view for view in VIEWS if view != "settled"])
def test_nothing_is_wider_than_a_small_screen_scrolls_inside_or_is_covered(story: Story, view: str) -> None:
    story.play(f"window 320 500\n {VIEWS[view]}")
    page = story.page
    assert (page.js("document.documentElement.scrollWidth") <= 320, page.js(WIDER)) == (True, [])
    if view != "reference":
        assert (page.js(SCROLLING), page.js(COVERED)) == ([], [True, []])


def violations(page: Page) -> list[str]:
    """Every rule of WCAG 2.2 A and AA and of good practice that the page breaks, and where."""
    source, reason = axe_core()
    if source is None:
        pytest.skip(reason)
    page.js(f"{source}; null")
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = page.js(f"axe.run(document, {{runOnly: {json.dumps(tags)}}})")
    assert len(found["passes"]) > 20
    return [f"{rule['id']}: {node['target']}" for rule in found["violations"] for node in rule["nodes"]]


@pytest.mark.parametrize("look", ["light 1280", "dark 320", "dark 1280"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing(story: Story, look: str, view: str) -> None:
    """Of the reference as it opens: what an opened operation shows is made by Swagger UI, which has its own faults."""
    scheme, width = look.split()
    story.play(f"window {width}\n media {scheme}\n {VIEWS[view]}")
    assert violations(story.page) == []
    if view == "reference":
        story.page.problems.clear()  # axe tries styles of its own there, and is not let
    else:
        ground = {"light": "rgb(246, 247, 249)", "dark": "rgb(16, 19, 24)"}[scheme]
        assert story.page.js("getComputedStyle(document.body).backgroundColor") == ground


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_while_the_console_says_what_is_wrong(story: Story, scheme: str) -> None:
    story.play(f"media {scheme}")
    story.play("""
        answer (path) => window.away && !path.includes('voids?') ? new TypeError('x') : window.away ? json(503, {}) : null
        list new
        enter #find-id ..
        js window.away = true -> #list-problem
        enter [name=order_id] x -> #problem
    """)
    assert violations(story.page) == []
