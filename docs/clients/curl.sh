#!/usr/bin/env bash
# Void one order and wait for the outcome: curl.sh ORDER_ID CURRENCY [COMMENT]
#
# Signs and sends with curl, reads JSON with jq; configuration and exit codes are in README.md beside this file.
# Repeats nothing that the service does not declare safe to repeat, and never reads "not known" as "not voided".
set -euo pipefail

VOIDED=0 REFUSED=1 LATER=2 WRONG=3
ANSWER=$(mktemp -d)
ending=''

leave() { # a crash would end with 1, which says "not voided"
    rm -rf "$ANSWER"
    if [ -z "$ending" ]; then echo 'ended early: it may be voided or not: run the same again, which is safe' >&2; fi
    exit "${ending:-$LATER}"
}
trap leave EXIT

finish() { # CODE TEXT
    printf '%s\n' "$2" >&2
    ending=$1
    exit "$1"
}

wrong() { finish $WRONG "invalid-argument: $1. Do: nothing was sent: correct the argument"; }

if [ $# -ne 2 ] && [ $# -ne 3 ]; then wrong 'curl.sh ORDER_ID CURRENCY [COMMENT]'; fi
if [ -n "${VOID_TOKEN_URL:-}" ]; then
    needed='VOID_SERVICE_URL VOID_CLIENT_ID VOID_CLIENT_SECRET'
else
    needed='VOID_SERVICE_URL AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY'
fi
for name in $needed; do
    if [ -z "${!name:-}" ]; then wrong "set $name"; fi
done
if ! [[ ${VOID_WAIT_SECONDS:-120} =~ ^[0-9]{1,9}$ ]]; then wrong 'VOID_WAIT_SECONDS is a number, 0 or more'; fi
if ! [[ $VOID_SERVICE_URL =~ ^https?://[^/?#[:space:]]+(/[^?#[:space:]]*)?$ ]]; then wrong 'not the URL of an API'; fi
if [[ $1 =~ ^\.{0,2}$ ]]; then wrong 'no order has this id'; fi
if [ -z "$2" ]; then wrong 'the currency is a text'; fi
for needed in curl jq; do
    if ! command -v $needed >/dev/null; then wrong "needs $needed"; fi
done

KEY=${IDEMPOTENCY_KEY:-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')}
if [ ${#KEY} -gt 255 ] || ! printf '%s' "$KEY" | LC_ALL=C awk 'NR > 1 || /[^ -~]/ { exit 1 }' || [[ $KEY == *$'\n' ]]; then
    wrong 'an idempotency key has 1 to 255 printable ASCII characters'
fi
# First, so that it is known whatever happens.
if [ -z "${IDEMPOTENCY_KEY:-}" ]; then printf 'IDEMPOTENCY_KEY=%s\n' "$KEY" >&2; fi

URL=${VOID_SERVICE_URL%/}
ORIGIN=$(printf '%s' "$URL" | sed 's|^\(https\{0,1\}://[^/]*\).*|\1|')
PLACE=${URL#"$ORIGIN"}/voids
BODY=$(jq -cn --arg id "$1" --arg currency "$2" '{order_id: $id, order_currency: $currency}')
if [ $# -eq 3 ]; then BODY=$(jq -cn --argjson body "$BODY" --arg comment "$3" '$body + {comment: $comment}'); fi
TOKEN=''

# Secrets go through a file descriptor: a command line is seen by everyone on the machine.
credentials() {
    if [ -n "${VOID_TOKEN_URL:-}" ]; then
        printf 'header = "Authorization: Bearer %s"\n' "$TOKEN"
        return
    fi
    printf 'user = "%s:%s"\naws-sigv4 = "aws:amz:%s:execute-api"\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" "$AWS_REGION"
    if [ -n "${AWS_SESSION_TOKEN:-}" ]; then printf 'header = "X-Amz-Security-Token: %s"\n' "$AWS_SESSION_TOKEN"; fi
}

client() { # as a form sends them
    printf 'user = "%s:%s"\n' "$(jq -rn --arg text "$VOID_CLIENT_ID" '$text | @uri')" \
        "$(jq -rn --arg text "$VOID_CLIENT_SECRET" '$text | @uri')"
}

# CONFIG, then curl's arguments. Sets status (000 without an answer), left (bytes that were sent), broken (curl's code).
# The API answers within 29 s. Without proxies, whatever the environment says.
send() {
    local config=$1
    shift
    rm -f "$ANSWER/headers" "$ANSWER/body"
    broken=0
    curl --silent --show-error --config <($config) --proxy '' --noproxy '*' \
        --connect-timeout 5 --max-time 35 --dump-header "$ANSWER/headers" --output "$ANSWER/body" \
        --write-out '%{http_code} %{size_request}\n' "$@" >"$ANSWER/told" 2>"$ANSWER/said" || broken=$?
    read -r status left <"$ANSWER/told" || { status=000 left=1; }
}

fetch_token() { # whatever becomes of that request, to the API nothing was sent
    local scope=()
    if [ -n "${VOID_TOKEN_SCOPE:-}" ]; then scope=(--data-urlencode "scope=$VOID_TOKEN_SCOPE"); fi
    send client --data-urlencode grant_type=client_credentials "${scope[@]}" "$VOID_TOKEN_URL"
    TOKEN=$(jq -r '.access_token | strings | select(test("^[A-Za-z0-9._~+/=-]+$"))' "$ANSWER/body" 2>/dev/null || true)
    if [ "$status" = 200 ] && [ $broken -eq 0 ] && [ -n "$TOKEN" ]; then return; fi
    TOKEN='' details="no token: HTTP $status $(field '.error // ""')"
    problem=nothing-sent
    case "$broken $status" in
        "60 "* | "77 "* | "0 4"??) if [ "$status" != 429 ]; then problem=not-configured; fi ;;
    esac
    return 1
}

# Sets problem if nothing could be sent.
call() { # curl's arguments
    problem='' details=''
    if [ -z "${VOID_TOKEN_URL:-}" ]; then
        send credentials "$@"
        return
    fi
    if [ -z "$TOKEN" ]; then fetch_token || return 0; fi
    send credentials "$@"
    if [ "$status" = 401 ] && [ $broken -eq 0 ]; then # it was refused: fetch another, once
        fetch_token || return 0
        send credentials "$@"
    fi
}

submit() {
    call --request POST --header 'Content-Type: application/json' --header "Idempotency-Key: $KEY" \
        --data-binary "$BODY" "$URL/voids"
}

read_void() { # TARGET, a path that may be percent-encoded
    # AWS wants the path of the signature encoded once more than it is sent. curl does so since 8.14; an older one signs
    # the path of the URL as it is, and is told what to send instead of it.
    local major minor path=${1%%\?*} query=''
    if [ "$path" != "$1" ]; then query="?${1#*\?}"; fi
    IFS='. ' read -r _ major minor _ <<<"$(curl --version)"
    if [ -z "${VOID_TOKEN_URL:-}" ] && [ $((major * 100 + minor)) -lt 814 ]; then
        call --request-target "$path$query" "$ORIGIN${path//\%/%25}$query"
    else
        call "$ORIGIN$path$query"
    fi
}

header() { # NAME
    tr -d '\r' <"$ANSWER/headers" 2>/dev/null | grep -i "^$1:" | tail -n 1 | sed 's/^[^:]*: *//' || true
}

# A terminal obeys control characters, so that none is taken from an answer.
field() { jq -r "$1 | tostring | gsub(\"[[:cntrl:]]\"; \"?\")" "$ANSWER/body" 2>/dev/null || true; }

# Sets problem and details, for an answer that is no record of this void, or for none.
judge() {
    local type='' said=''
    if [ -n "$problem" ]; then return; fi # nothing was sent: it is known already
    if [ $broken -ne 0 ]; then
        details="no answer ($(tr -d '[:cntrl:]' <"$ANSWER/said"))" problem=outcome-unknown
        if [ "$left" = 0 ]; then problem=nothing-sent; fi
        if [ "$left" = 0 ] && { [ $broken -eq 60 ] || [ $broken -eq 77 ]; }; then problem=not-configured; fi
        return
    fi
    { read -r type && read -r said; } < <(jq -r '
        [.type // "", ([.detail, .provider_code, .provider_message,
            (.errors // [] | .[] | "\(.pointer) \(.detail)"), .message, .Message]
            | map(select(. != null) | tostring | sub("\\.+$"; "")) | join("; "))]
        | .[] | tostring | gsub("[[:cntrl:]]"; "?")' "$ANSWER/body" 2>/dev/null) || true
    details=$said
    case $type in
        urn:void-service:problem:*) problem=${type#urn:void-service:problem:} ;;
        *)
            details="HTTP $status${said:+, $said}"
            case $status in
                401 | 403) problem=unauthenticated ;;
                413) problem=too-large ;;
                429) problem=throttled ;;
            esac
            ;;
    esac
}

# Sets code, again (true if the same request may be repeated), advice, label, and first_pause where no time is told.
group() {
    code=$WRONG again=false first_pause=5 label=$problem
    case $problem in
        in-progress) code=$LATER advice='another request for this order is in flight: repeat the same request' ;;
        throttled) code=$LATER advice='too many requests, this one did nothing: repeat the same request' ;;
        provider-credentials)
            code=$LATER first_pause=60 advice='nothing was voided, the operators are notified: repeat the same later'
            ;;
        not-sent) code=$LATER advice='nothing reached the provider: repeat the same request' ;;
        nothing-sent) code=$LATER advice='nothing was sent: repeat the same request once the cause is gone' ;;
        not-settled-yet)
            code=$LATER advice='repeat the same request later, or read the void'
            label="$problem ($(jq -r '.state' "$ANSWER/record"))"
            ;;
        not-voidable)
            code=$REFUSED advice='see the reason'
            case $(field '.void.reason // "none"') in
                refused) advice="understand the provider's answer; to ask again is a new decision, with a new key" ;;
                already-captured) advice='the money was taken: decide about a refund, which is another operation' ;;
                order-not-found)
                    advice='the provider knows no such order: check the order id; after that, ask with a new key'
                    ;;
                not-executed) advice='the hold is still there: if the void is still wanted, ask with a new key' ;;
            esac
            if [ "$(field '.void.reason')" != null ]; then label="$problem ($(field '.void.reason'))"; fi
            ;;
        too-many-attempts) code=$REFUSED advice='all attempts are used up: ask the operators' ;;
        invalid-request) advice='correct everything listed' ;;
        unauthenticated) advice='check the URL, the region, the credentials or the token, the role and the clock' ;;
        not-found) advice='there is no void of this order here: check the order and the URL' ;;
        too-large) advice='send a shorter text' ;;
        unsupported-media-type) advice="let nothing change the request's Content-Type" ;;
        idempotency-mismatch) advice='this key came with another body: one key is one decision' ;;
        currency-mismatch) advice='use the currency of the void on record' ;;
        changed-meanwhile) advice='the record has changed: read it again, then decide about what it shows' ;;
        nothing-to-decide) advice='the record leaves nothing to decide: read it again' ;;
        not-configured) advice='nothing was sent: correct the cause' ;;
        *)
            case $problem:$status in
                outcome-unknown:* | *:2?? | *:5??)
                    problem=outcome-unknown code=$LATER
                    advice='it may be voided or not: repeat the same request, which is safe'
                    ;;
                *) problem=unknown-problem advice='check the URL and the version of this client' ;;
            esac
            label=$problem
            ;;
    esac
    if [ $code -eq $LATER ]; then again=true; fi
}

judge_open() { # a record that is neither voided nor failed
    problem=not-settled-yet details='the outcome is not known yet'
    group
    if [ "$(field .review)" = true ]; then advice="the operators must look at it; $advice"; fi
    if [ "$(field .resend_allowed)" = true ]; then
        again=false advice='it did not arrive: if the void is still wanted, ask with a new key'
    fi
}

# Once a POST was accepted, or may have been, whatever follows is "repeat later", with the last record.
give_up() {
    local hint cause=$label
    hint=$(header X-Local-Hint | tr -d '[:cntrl:]')
    details="$details${hint:+ ($hint)}"
    local recorded=false last=outcome-unknown
    if [ $code -eq $LATER ] && [ "$(field '.void | type')" = object ]; then recorded=true; fi
    if $accepted; then last=not-settled-yet; fi
    if { $accepted || $maybe; } && [ $code -ne $REFUSED ] && ! $recorded && [ "$problem" != $last ]; then
        details="it was accepted, or may have been; then $cause: $details" problem=$last
        group
    fi
    finish "$code" "$label: $details. Do: $advice"
}

DEADLINE=$((SECONDS + 10#${VOID_WAIT_SECONDS:-120}))
location='' refresh='' # after a 202 the intent is durable: it is enough to read
accepted=false maybe=false
pause=0
while true; do
    if [ -n "$location" ]; then read_void "$location$refresh"; else submit; fi
    reading=$location refresh='' state=''
    # A cut answer, or another order's record from a cache in between, is not this void's outcome.
    case $problem$broken$status in
        02??)
            state=$(jq -r --arg id "$1" 'if .order_id == $id then .state | strings else empty end' "$ANSWER/body" 2>/dev/null || true)
            if [ -n "$state" ]; then cp "$ANSWER/body" "$ANSWER/record"; fi
            ;;
    esac
    case $state in
        voided)
            cat "$ANSWER/body" && echo
            ending=$VOIDED
            exit $VOIDED
            ;;
        failed)
            # What that means for this key, the service says when it is asked with this key.
            if [ -n "$location" ]; then
                location=''
                continue
            fi
            details="HTTP $status, not understood" problem=outcome-unknown
            group
            ;;
        '')
            judge
            group
            ;;
        *)
            judge_open
            if [ -z "$location" ]; then
                accepted=true refresh='?refresh=true'
                told=$(header Location)
                location=$PLACE/$(jq -rn --arg id "$1" '$id | @uri')
                # A place outside of this API gets no authorized request.
                if [[ $told == "$PLACE/"* && ${told#"$PLACE/"} =~ ^\.{0,2}[A-Za-z0-9_~%-][A-Za-z0-9._~%-]*$ ]]; then
                    location=$told
                fi
            fi
            ;;
    esac
    if [ "$problem" = outcome-unknown ]; then maybe=true; fi
    left_seconds=$((DEADLINE - SECONDS))
    told=''
    if [ $broken -eq 0 ]; then told=$(header Retry-After); fi
    if [[ $told =~ ^[0-9]{1,9}$ ]]; then
        pause=$((10#$told > 1 ? 10#$told : 1)) early=$reading$refresh
    else
        pause=$((pause * 2 > first_pause ? pause * 2 : first_pause))
        pause=$((pause < 60 ? pause : 60)) early=true
    fi
    now=$pause
    # Reading earlier than the service said does no harm; asking again may.
    if [ -n "$early" ] && [ $now -gt $left_seconds ]; then now=$left_seconds; fi
    if ! $again || [ $left_seconds -lt 1 ] || [ $now -gt $left_seconds ]; then give_up; fi
    printf '%s: again in %s s\n' "$label" "$now" >&2
    sleep "$now"
done
