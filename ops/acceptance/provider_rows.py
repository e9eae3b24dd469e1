"""The questions about the provider: what docs/provider.md assumes (its lines marked A) and what nobody has documented.

Data only. The sandbox has a switch of the same name, without `provider-`, that contradicts each of them.
"""

from ops.acceptance.rows import Row

ANSWER = "functions/payments/messages.py"
SEND = "functions/payments/provider.py"
FACTS = "docs/provider.md"
ENVIRONMENTS = "infra/environments.py"

PROVIDER_ROWS = (
    # ---- how requests prove who sends them ---------------------------------------------------------------------------
    Row(
        id="provider-get-plain",
        question="Does a GET accept plain CPAY?",
        assumed="It does: what a GET signs is not documented, so the service sends the plain scheme with it.",
        depends=(SEND,),
        rule="every query carries plain CPAY, whatever `provider_scheme` says",
        otherwise="Queries are refused, so nothing that is unknown is ever settled by a query. If provider-get-signed "
        "is contradicted too, sign the empty body there; otherwise ask the provider before going live.",
        observe="The order 0 and an order that nobody has are queried with the project's credentials.",
        setting="none: the scheme of a GET stands in functions/payments/provider.py",
    ),
    Row(
        id="provider-get-signed",
        question="Does a GET accept a signature over nothing (CPAY-HMAC, CPAY-SHA1)?",
        assumed="It does not, or nobody knows: the service does not try.",
        depends=(SEND,),
        rule="a GET never carries a signature",
        otherwise="Good news: a GET can be signed, and the secret need not travel with it. Change provider.py, then "
        "correct the line in docs/provider.md.",
        observe="The same query with each of the two signatures over an empty body.",
    ),
    Row(
        id="provider-post-plain",
        question="Does a POST accept plain CPAY?",
        assumed="It does: every published example uses it, and `provider_scheme` is CPAY by default.",
        depends=("functions/payments/signatures.py", ENVIRONMENTS),
        rule="`provider_scheme` chooses how a void is signed",
        otherwise="Voids are answered 502 `provider-credentials`. Choose a scheme that provider-post-signed has seen "
        "accepted.",
        observe="A void of an order that nobody has, with the plain scheme: refused as unknown, not as credentials.",
        setting='infra/environments.py: provider_scheme="CPAY-HMAC"',
    ),
    Row(
        id="provider-post-signed",
        question="Does a POST accept CPAY-HMAC and CPAY-SHA1 over the raw body?",
        assumed="It accepts both, as documented.",
        depends=("functions/payments/signatures.py", ENVIRONMENTS),
        rule="lower-case hex of HMAC-SHA1 over the body, or of SHA1 over secret, body, secret",
        otherwise="Keep CPAY. Ask the provider which name and algorithm this project has (newer pages of the platform "
        "write CPAY-HMAC-SHA1 and CPAY-HMAC-SHA256).",
        observe="A void of an order that nobody has, signed with each scheme.",
        setting='infra/environments.py: provider_scheme="CPAY"',
    ),
    Row(
        id="provider-wrong-credentials",
        question="How are wrong credentials answered?",
        assumed="With 401, or with an error whose code begins with `S-`; never as an order that is not known.",
        depends=(ANSWER,),
        rule="401 and codes that begin with `S-` ring the alarm; a 404 without such a code is about the order",
        otherwise="A wrong credential would be stored as `order-not-found`, for good. Add the code that the evidence "
        "shows to the rule in messages.py before the first live void.",
        observe="A query with each of the four credentials replaced by another, one at a time.",
    ),
    Row(
        id="provider-order-zero",
        question="Is a query of the order 0 a check of the credentials?",
        assumed="Right credentials are not refused there, wrong ones are (documented by the platform, not by "
        "Financial Line).",
        depends=(SEND, "ops/smoke.py"),
        rule="`make smoke` believes this query; 0 is no order id of ours",
        otherwise="`make smoke` cannot say whether the provider accepts the credentials. Do not trust that line of it.",
        observe="The order 0 is queried with right and with wrong credentials.",
    ),
    # ---- orders and limits -------------------------------------------------------------------------------------------
    Row(
        id="provider-unknown-void",
        question="How is a void of an order that the provider does not know answered?",
        assumed="404 (or another 4xx) with the documented error document, without a credentials code.",
        depends=(ANSWER,),
        rule="only the documented error document is a refusal; anything else leaves the outcome unknown",
        otherwise="Such a void stays `unknown` for a day instead of ending as `order-not-found`. Correct only: add the "
        "shape to messages.py if the provider confirms it.",
        observe="A void of an order that nobody has is sent to the provider.",
    ),
    Row(
        id="provider-unknown-query",
        question="How is a query of an order that the provider does not know answered?",
        assumed="404 with the documented error document, without a credentials code; or an empty list.",
        depends=(ANSWER,),
        rule="a 404 without the documented error document is no answer",
        otherwise="`order-not-found` is never concluded from it. Tell the provider; correct messages.py if it "
        "stays so.",
        observe="An order that nobody has is queried.",
    ),
    Row(
        id="provider-order-limit",
        question="Are the 32 of `order_id` characters or bytes?",
        assumed="Characters.",
        depends=("functions/submit_void.py", FACTS),
        rule="an order id has 1 to 32 characters",
        otherwise="Longer ids in Cyrillic are refused by the provider (409 `not-voidable`, nothing is voided). Limit "
        "ids to 32 bytes in submit_void.py and in docs/openapi.json.",
        observe="A void of an unknown order of 32 Cyrillic letters; refused as unknown, not as too long.",
    ),
    Row(
        id="provider-order-characters",
        question="Which characters may an order id have?",
        assumed="Any printable character.",
        depends=("functions/submit_void.py", FACTS),
        rule="an order id is printable Unicode",
        otherwise="Holds with such ids cannot exist, so nothing breaks. Tell the merchant's team which classes the "
        "evidence shows as refused.",
        observe="A void of an unknown order for each class: blank, slash, percent, quotes, Cyrillic, emoji and more.",
    ),
    Row(
        id="provider-order-path",
        question="Is an order with other characters than letters and digits found by its percent-encoded path?",
        assumed="It is: one path segment, UTF-8, percent-encoded.",
        depends=(SEND,),
        rule="the order is quoted with nothing safe",
        otherwise="Such voids are executed, and a query never finds them: unknown outcomes stay unknown. Keep order "
        "ids to letters, digits, dot, hyphen and underscore.",
        observe="A given hold whose id has such a character is queried.",
    ),
    Row(
        id="provider-comment-limit",
        question="Are the 2,048 of `comment` characters or bytes?",
        assumed="Characters.",
        depends=("functions/submit_void.py", FACTS),
        rule="a comment has at most 2,048 characters",
        otherwise="Longer comments in Cyrillic are refused by the provider, and nothing is voided. Limit comments to "
        "2,048 bytes in submit_void.py and in docs/openapi.json.",
        observe="A given hold is voided at the provider with a comment of 2,048 Cyrillic letters.",
    ),
    # ---- refusals ----------------------------------------------------------------------------------------------------
    Row(
        id="provider-wrong-currency",
        question="Does a refused void leave the hold as it was?",
        assumed="A 4xx means that this request was not processed.",
        depends=("functions/payments/voids.py", FACTS),
        rule="a refusal ends the attempt as failed",
        otherwise="Stop: a void that was answered as refused was executed. Do not go live; the provider must "
        "explain it.",
        observe="A void of a given hold in another currency, then a query.",
    ),
    Row(
        id="provider-refusal-shape",
        question="How does the provider refuse a void?",
        assumed="A 4xx with the documented error document, or 2xx with status `failure`.",
        depends=(ANSWER,),
        rule="any other answer leaves the outcome unknown",
        otherwise="Refused voids stay `unknown` for a day instead of being answered 409. Correct messages.py once the "
        "provider has confirmed the shape.",
        observe="The answer to the void in another currency.",
    ),
    Row(
        id="provider-second-void",
        question="What does a second void of a voided hold answer?",
        assumed="An error: the provider does not execute it. The service never sends one.",
        depends=("functions/payments/voids.py", FACTS),
        rule="one POST per attempt, and a refusal is looked into by a query",
        otherwise="If the evidence shows two executed voids, every lost answer is dangerous at this provider: keep the "
        "rule, and tell the team never to void by hand what is `unknown`. If the same operation came back, nothing "
        "breaks: repeating is harmless there.",
        observe="With --allow-second-void: the hold that was voided is voided again at the provider, then queried.",
    ),
    # ---- the answer to a void ----------------------------------------------------------------------------------------
    Row(
        id="provider-answer-time",
        question="Does the provider answer within the service's timeout of 10 s?",
        assumed="It does, usually well under a second.",
        depends=(SEND, "docs/performance.md"),
        rule="ANSWER_SECONDS: a later answer counts as lost",
        otherwise="Voids end as 202 `unknown` and are settled by query. Raise ANSWER_SECONDS, the function's timeout "
        "and the lease together, after asking the provider for a figure.",
        observe="The longest answer to a void of an order that nobody has.",
    ),
    Row(
        id="provider-answer-fields",
        question="Does the answer to a void have all documented fields?",
        assumed="All sixteen; `fee` may be null. Only `method`, `status` and `order_id` are required.",
        depends=(ANSWER,),
        rule="a missing field is null in the record",
        otherwise="Nothing breaks. Tell the merchant's team which fields they cannot rely on.",
        observe="The record that the void of a given hold is answered with.",
    ),
    Row(
        id="provider-operation-id",
        question="Does the answer have an `operation_id`, and do webhook and query show the same?",
        assumed="It does: a failure counts only if it names the attempt by this id.",
        depends=("functions/payments/voids.py", ANSWER),
        rule="an attempt is recognised by the id that the answer to its own POST gave",
        otherwise="Failures can then be attributed only by a query after the window of an attempt. Nothing is lost, "
        "refusals become known later. Tell the provider.",
        observe="The answer, the webhook and the query of one void side by side.",
    ),
    Row(
        id="provider-success-code",
        question="Is 1009 the status code of a void that succeeded?",
        assumed="It is, as in the documented example.",
        depends=(FACTS,),
        rule="decisions are made by `status`, never by the code",
        otherwise="Nothing breaks. Correct the line in docs/provider.md.",
        observe="The answer to the void of a given hold.",
    ),
    Row(
        id="provider-statuses",
        question="Are there other statuses than init, pending, success and failure?",
        assumed="There are not; an unknown one is treated as not final.",
        depends=(ANSWER,),
        rule="only success and failure are final",
        otherwise="The service queries such a void until its status is a documented one. Ask the provider what the "
        "status means, then teach messages.py.",
        observe="Every status in answers, webhooks and queries of this run.",
    ),
    Row(
        id="provider-at-once",
        question="Is a void answered with its end at once?",
        assumed="It is, in most cases; it may also be pending.",
        depends=("docs/performance.md", "docs/how-a-void-works.md"),
        rule="the service queries a `pending` void until it ends; callers must expect 202",
        otherwise="Nothing breaks, but callers meet 202 each time: tell them, and see how long it takes in "
        "the evidence.",
        observe="The state in the answer to the void of a given hold.",
    ),
    Row(
        id="provider-timestamps",
        question="Do timestamps have a zone, and which is meant?",
        assumed="They have none, and none is documented.",
        depends=(ANSWER, "docs/how-a-void-works.md"),
        rule="timestamps of the provider are kept as text and order nothing",
        otherwise="Nothing breaks. Correct docs/provider.md; the evidence names the zone.",
        observe="created_at beside this machine's clock.",
    ),
    Row(
        id="provider-fee",
        question="Which shape has `fee`?",
        assumed="null, or an object with amount and currency.",
        depends=(ANSWER, "ops/export.py"),
        rule="a fee is kept as it comes; the export has a column for its amount and its currency",
        otherwise="The export shows no fee. Correct the columns in ops/export.py.",
        observe="The answer, the webhook and the query of one void.",
    ),
    Row(
        id="provider-amount",
        question="Is an amount the same, with the same digits, wherever it is shown?",
        assumed="It is: in major units, as a JSON number or as text.",
        depends=("functions/payments/exact_json.py", "ops/compare.py"),
        rule="amounts are compared as exact decimals",
        otherwise="`python -m ops compare` reports a difference for each void. Ask the provider which unit is right.",
        observe="The amount of the hold, of the answer, of the webhook and of the query.",
    ),
    # ---- webhooks ----------------------------------------------------------------------------------------------------
    Row(
        id="provider-webhook-arrives",
        question="Is a void reported by a webhook to the `server_url` of its request?",
        assumed="It is, within minutes.",
        depends=("functions/receive_webhook.py", "infra/api.py"),
        rule="each void names the stack's own WebhookUrl; without webhooks, outcomes are learnt by query",
        otherwise="The alarm `Webhooks silent` will ring. Ask the provider whether webhooks must be switched on for "
        "the project, and whether port 443 and this host are allowed.",
        observe="A given hold is voided; what reaches the webhook route within minutes.",
    ),
    Row(
        id="provider-webhook-address",
        question="Do webhooks come from the documented address?",
        assumed="From 35.187.74.148 and no other.",
        depends=(ENVIRONMENTS, "infra/api.py"),
        rule="the resource policy admits the webhook route from `webhook_addresses` only",
        otherwise="Webhooks are refused by the gateway. Ask the provider for its addresses (never take them from a "
        "log), set them and deploy.",
        observe="Whether a webhook was refused by the policy while one was awaited.",
        setting='infra/environments.py: webhook_addresses=("35.187.74.148/32", "…/32")',
    ),
    Row(
        id="provider-webhook-secret",
        question="Are webhooks signed with the project's API secret?",
        assumed="They are, over `data` as it is received.",
        depends=("functions/payments/signatures.py", "functions/payments/secret.py"),
        rule="what is not signed with the current or the previous secret is answered 401",
        otherwise="Webhooks are refused as forged. Compare the secret in the portal with the one in Secrets Manager; "
        "runbook, `Forged webhooks`.",
        observe="Whether a webhook was refused as forged while one was awaited.",
    ),
    Row(
        id="provider-webhook-fields",
        question="Has the webhook of a void the fields of its answer?",
        assumed="It has: no page shows a webhook of a void.",
        depends=(ANSWER, "functions/payments/webhooks.py"),
        rule="answer and webhook are read by the same code; only `method`, `status` and `order_id` are required",
        otherwise="Nothing breaks: what the webhook lacks stays as the answer had it. Correct docs/provider.md.",
        observe="The stored webhook beside the answer, field by field.",
    ),
    Row(
        id="provider-webhook-number",
        question="How many webhooks does a void cause?",
        assumed="One, seldom more; repetitions are documented.",
        depends=("functions/payments/webhooks.py",),
        rule="the same message twice changes nothing",
        otherwise="Nothing breaks, each costs a request and a write. docs/performance.md counts one.",
        observe="What reaches the webhook route in the minute after the first one.",
    ),
    Row(
        id="provider-webhook-order",
        question="Does the webhook come after the answer?",
        assumed="It does in most cases; any order ends in the same record.",
        depends=("functions/payments/webhooks.py", "docs/performance.md"),
        rule="a success counts from any source, whichever is first",
        otherwise="Nothing breaks; the evidence says by how much it was earlier.",
        observe="The times of answer and webhook in the record.",
    ),
    Row(
        id="provider-webhook-again",
        question="Is a webhook that was answered 500 sent again?",
        assumed="It is not, or nobody knows: 200 only once it is stored, and what is lost is learnt by query.",
        depends=("functions/receive_webhook.py", "docs/runbook.md"),
        rule="an answer other than 200 is given only while nothing is stored",
        otherwise="Good news: a webhook that is refused is not lost. Write the interval of the evidence into "
        "docs/provider.md and into the runbook.",
        observe="A second given hold is voided while receive_webhook may not write to the table; then it may again.",
    ),
    Row(
        id="provider-portal-announced",
        question="Is a void announced that names no `server_url`, such as one made in the portal?",
        assumed="It is, to the address that the hold named (the platform's own plug-ins rely on it).",
        depends=("functions/payments/webhooks.py", "docs/how-a-void-works.md"),
        rule="a genuine success without a record creates one (attempt 0)",
        otherwise="Voids from the portal are unknown here until somebody asks for the order. Either the hold named "
        "another address, or nothing is announced: ask the provider, and tell the team to void through this service.",
        observe="A third given hold is voided at the provider without `server_url`; whether a record appears.",
    ),
    # ---- queries -----------------------------------------------------------------------------------------------------
    Row(
        id="provider-query-hold",
        question="Does the query of an order answer a list of its operations?",
        assumed="A list, with the hold as a successful `auth`.",
        depends=(ANSWER,),
        rule="absence counts only if the same list shows the hold; a single object proves no absence",
        otherwise="No void is ever found `not-executed`, and none is offered for a resend: unknown outcomes stay open "
        "for a person. Ask the provider for the shape.",
        observe="A given hold is queried before anything is done with it.",
    ),
    Row(
        id="provider-query-no-void",
        question="How is the query of a void answered that nobody has made?",
        assumed="404 without a credentials code, or an empty list.",
        depends=(ANSWER,),
        rule="the service asks for the whole order and never for a single method",
        otherwise="Nothing breaks: the service does not ask so. Correct docs/provider.md.",
        observe="The method `void` of a given hold is queried before it is voided.",
    ),
    Row(
        id="provider-query-delay",
        question="How soon does a query show a void?",
        assumed="Within 145 s of the request.",
        depends=("functions/payments/voids.py", FACTS),
        rule="absence counts only in a query begun 120 s after the lease of 25 s",
        otherwise="Stop: an executed void could be taken for absent and sent again. Raise the window above the figure "
        "of the evidence before going live.",
        observe="The order is queried after its void until the void is there.",
    ),
    Row(
        id="provider-query-steady",
        question="Is an order that exists ever answered 404?",
        assumed="It may be: a sibling API did so. A 404 never counts as `no void`.",
        depends=("functions/payments/voids.py",),
        rule="a 404 of a query proves nothing",
        otherwise="Keep the rule: this provider needs it. Expect later settling.",
        observe="All queries of given holds in this run.",
    ),
)
