#!/usr/bin/env bash
# Void one order and wait for the outcome: curl.sh ORDER_ID CURRENCY [COMMENT]
#
# Signs and sends with curl, reads JSON with jq; configuration and exit codes are in README.md beside this file.
# Repeats nothing that the service does not declare safe to repeat, and never reads "not known" as "not voided".
set -euo pipefail

VOIDED=0 REFUSED=1 LATER=2 MISUSE=3
ANSWER=$(mktemp -d)
ending=''

leave() { # a crash would end with 1, which says "refused"
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

for needed in VOID_SERVICE_URL AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; do
    if [ -z "${!needed:-}" ]; then finish $MISUSE "set $needed"; fi
done
if [ $# -ne 2 ] && [ $# -ne 3 ]; then finish $MISUSE 'curl.sh ORDER_ID CURRENCY [COMMENT]'; fi
if ! [[ ${VOID_WAIT_SECONDS:-120} =~ ^[0-9]{1,9}$ ]]; then finish $MISUSE 'VOID_WAIT_SECONDS is a number, 0 or more'; fi
for needed in curl jq; do
    if ! command -v $needed >/dev/null; then finish $MISUSE "needs $needed"; fi
done

KEY=${IDEMPOTENCY_KEY:-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')}
# First, so that it is known whatever happens.
if [ -z "${IDEMPOTENCY_KEY:-}" ]; then printf 'IDEMPOTENCY_KEY=%s\n' "$KEY" >&2; fi

URL=${VOID_SERVICE_URL%/}
ORIGIN=$(printf '%s' "$URL" | sed 's|^\(https\{0,1\}://[^/]*\).*|\1|')
BODY=$(jq -cn --arg id "$1" --arg currency "$2" '{order_id: $id, order_currency: $currency}')
if [ $# -eq 3 ]; then BODY=$(jq -cn --argjson body "$BODY" --arg comment "$3" '$body + {comment: $comment}'); fi

# The credentials go through a file descriptor: a command line is seen by everyone on the machine.
credentials() {
    printf 'user = "%s:%s"\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY"
    if [ -n "${AWS_SESSION_TOKEN:-}" ]; then printf 'header = "X-Amz-Security-Token: %s"\n' "$AWS_SESSION_TOKEN"; fi
}

call() { # curl's arguments; prints the status, 000 if there is no answer. The API answers within 29 s.
    rm -f "$ANSWER"/*
    curl --silent --show-error --config <(credentials) --aws-sigv4 "aws:amz:$AWS_REGION:execute-api" \
        --connect-timeout 5 --max-time 35 --dump-header "$ANSWER/headers" --output "$ANSWER/body" \
        --write-out '%{http_code}' "$@" || printf ' cut short'
}

submit() {
    call --request POST --header 'Content-Type: application/json' --header "Idempotency-Key: $KEY" \
        --data-binary "$BODY" "$URL/voids"
}

read_void() { # PATH, encoded
    # A path is signed encoded once more than it is sent. A curl before 8.14 signs it as the URL has it: the URL is given
    # encoded twice, and what is sent is told apart from it.
    local major minor
    IFS='. ' read -r _ major minor _ <<<"$(curl --version)"
    if [ $((major * 100 + minor)) -lt 814 ]; then
        call --request-target "$1" "$ORIGIN${1//\%/%25}"
    else
        call "$ORIGIN$1"
    fi
}

header() { # NAME
    tr -d '\r' <"$ANSWER/headers" 2>/dev/null | grep -i "^$1:" | tail -n 1 | sed 's/^[^:]*: *//' || true
}

# A terminal obeys control characters, so that none is taken from an answer.
field() { jq -r "$1 | tostring | gsub(\"[[:cntrl:]]\"; \"?\")" "$ANSWER/body" 2>/dev/null || true; }

# Sets code, again (true if the same request may be repeated), label, text, and first_pause where no time is told.
judge() { # STATUS
    local status=$1 type='' reason='' details='' name='' advice=''
    code=$MISUSE again=false label='' first_pause=5
    { read -r type && read -r reason && read -r details; } < <(jq -r '
        [.type // "", .void.reason // "none", ([.detail, .provider_code, .provider_message,
            (.errors // [] | .[] | "\(.pointer) \(.detail)"), .message, .Message] | map(select(. != null)) | join("; "))]
        | .[] | tostring | gsub("[[:cntrl:]]"; "?")' "$ANSWER/body" 2>/dev/null) || true
    case $type in
        urn:void-service:problem:*) name=${type#urn:void-service:problem:} ;;
        *)
            case $status in
                403) name=unauthenticated ;;
                413) name=too-large ;;
                429) name=throttled ;;
            esac
            ;;
    esac
    case $name in
        invalid-request) advice='correct everything listed' ;;
        unauthenticated) advice='check the URL, the region, the credentials, the role and the clock' ;;
        not-found) advice='there is no void of this order here: check the order and the URL' ;;
        too-large) advice='send a shorter comment' ;;
        unsupported-media-type) advice="let nothing change the request's Content-Type" ;;
        idempotency-mismatch) advice='this key came with another body: one key is one decision' ;;
        currency-mismatch) advice='use the currency of the void on record' ;;
        not-voidable)
            code=$REFUSED label="$name ($reason)"
            case $reason in
                refused) advice="understand the provider's answer; to ask again is a new decision, with a new key" ;;
                already-captured) advice='the money was taken: decide about a refund, which is another operation' ;;
                order-not-found)
                    advice='the provider knows no such order: check the order id; after that, ask with a new key'
                    ;;
                not-executed) advice='the hold still stands: if the void is still wanted, ask with a new key' ;;
                *) advice='see the reason' ;;
            esac
            ;;
        too-many-attempts) code=$REFUSED advice='twenty attempts were made: the operators must look' ;;
        in-progress) again=true advice='another request for this order is in flight: repeat the same request' ;;
        throttled) again=true advice='too many requests, nothing was done: repeat the same request' ;;
        provider-credentials)
            again=true first_pause=60 advice='nothing was voided, the operators are alarmed: repeat the same later'
            ;;
        not-sent) again=true advice='nothing was sent: repeat the same request' ;;
        *)
            case $status in
                3?? | 4??) name=unknown-problem advice='check the URL and the version of this client' ;;
                *) name=outcome-unknown again=true advice='it may be voided or not: repeat the same request, which is safe' ;;
            esac
            if [ "$status" = '000 cut short' ]; then details='no answer'; else details="HTTP $status${details:+, $details}"; fi
            ;;
    esac
    if $again; then code=$LATER; fi
    label=${label:-$name}
    text="$label: $details. Do: $advice"
}

judge_open() { # a record that is neither voided nor failed
    code=$LATER again=true first_pause=5 label="not-settled-yet ($(field .state))"
    text='repeat the same request later, or read the void'
    if [ "$(field .review)" = true ]; then text="the operators must look at it; $text"; fi
    if [ "$(field .resend_allowed)" = true ]; then
        again=false text='it did not arrive: if the void is still wanted, ask with a new key'
    fi
    text="$label: the outcome is not known yet. Do: $text"
}

DEADLINE=$((SECONDS + 10#${VOID_WAIT_SECONDS:-120}))
location='' # after a 202 the intent is durable: it is enough to read
pause=0
while true; do
    if [ -n "$location" ]; then status=$(read_void "$location"); else status=$(submit); fi
    state=''
    # A cut answer, or another order's record from a cache in between, is not this void's outcome.
    case $status in
        2??) state=$(jq -r --arg id "$1" 'if .order_id == $id then .state else empty end' "$ANSWER/body" 2>/dev/null || true) ;;
    esac
    case $state in
        '') judge "$status" ;;
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
            judge "$status"
            ;;
        *)
            judge_open
            if [ -z "$location" ]; then
                told=$(header Location)
                path=${URL#"$ORIGIN"}/voids
                # A place outside of this API gets no signed request: asking again is as safe as reading.
                if [[ $told == "$path/"* && ${told#"$path/"} =~ ^\.{0,2}[A-Za-z0-9_~%-][A-Za-z0-9._~%-]*$ ]]; then
                    location=$told
                fi
            fi
            ;;
    esac
    told=$(header Retry-After)
    if [[ $told =~ ^[0-9]{1,9}$ ]]; then
        pause=$((10#$told > 1 ? 10#$told : 1))
    else
        pause=$((pause * 2 > first_pause ? pause * 2 : first_pause))
        pause=$((pause < 60 ? pause : 60))
    fi
    if ! $again || [ $((SECONDS + pause)) -gt $DEADLINE ]; then finish "$code" "$text"; fi
    printf '%s: again in %s s\n' "$label" "$pause" >&2
    sleep "$pause"
done
