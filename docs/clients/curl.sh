#!/usr/bin/env bash
# Void one order and wait for the outcome: curl.sh ORDER_ID CURRENCY [COMMENT]
#
# Signs and sends with curl, reads JSON with jq; configuration and exit codes are in README.md beside this file.
# Repeats nothing that the service does not declare safe to repeat, and never reads "not known" as "not voided".
set -euo pipefail

VOIDED=0 REFUSED=1 LATER=2 MISUSE=3
KEY=${IDEMPOTENCY_KEY:-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')}

finish() { # CODE TEXT
    printf '%s\n' "$2" >&2
    if [ "$1" = $LATER ]; then printf 'with IDEMPOTENCY_KEY=%s\n' "$KEY" >&2; fi
    exit "$1"
}

for needed in VOID_SERVICE_URL AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; do
    if [ -z "${!needed:-}" ]; then finish $MISUSE "set $needed"; fi
done
if [ $# -ne 2 ] && [ $# -ne 3 ]; then finish $MISUSE 'curl.sh ORDER_ID CURRENCY [COMMENT]'; fi
for needed in curl jq; do
    if ! command -v $needed >/dev/null; then finish $MISUSE "needs $needed"; fi
done

URL=${VOID_SERVICE_URL%/}
ORDER=$(jq -rn --arg id "$1" '$id | @uri')
BODY=$(jq -cn --arg id "$1" --arg currency "$2" --arg comment "${3:-}" \
    '{order_id: $id, order_currency: $currency} + if $comment == "" then {} else {comment: $comment} end')
ANSWER=$(mktemp -d)
trap 'rm -rf "$ANSWER"' EXIT

# The credentials go through a file descriptor: a command line is seen by everyone on the machine.
credentials() {
    printf 'user = "%s:%s"\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY"
    if [ -n "${AWS_SESSION_TOKEN:-}" ]; then printf 'header = "X-Amz-Security-Token: %s"\n' "$AWS_SESSION_TOKEN"; fi
}

call() { # curl's arguments; prints the status, 000 if there is no answer. The API answers within 29 s.
    rm -f "$ANSWER"/*
    curl --silent --show-error --config <(credentials) --aws-sigv4 "aws:amz:$AWS_REGION:execute-api" \
        --connect-timeout 5 --max-time 35 --dump-header "$ANSWER/headers" --output "$ANSWER/body" \
        --write-out '%{http_code}' "$@" || true
}

submit() {
    call --request POST --header 'Content-Type: application/json' --header "Idempotency-Key: $KEY" \
        --data-binary "$BODY" "$URL/voids"
}

# What jq finds, without control characters: a terminal obeys them.
field() { jq -r "$1 | tostring | gsub(\"[[:cntrl:]]\"; \"?\")" "$ANSWER/body" 2>/dev/null || true; }

retry_after() { tr -d '\r' <"$ANSWER/headers" 2>/dev/null | sed -n 's/^[Rr]etry-[Aa]fter: *\([0-9][0-9]*\)$/\1/p' | tail -n 1; }

# Why a void failed: exit code, what to do.
judge_reason() {
    case $1 in
        refused) code=$REFUSED advice="understand the provider's answer; to try again use a new IDEMPOTENCY_KEY" ;;
        already-captured) code=$REFUSED advice='the money was taken: decide about a refund, which is another operation' ;;
        order-not-found) code=$REFUSED advice='the provider knows no such order: check the order_id' ;;
        not-executed) code=$REFUSED advice='the hold still stands: use a new IDEMPOTENCY_KEY if the void is still wanted' ;;
        not-sent) code=$LATER advice='nothing was sent: run the same again' ;;
        throttled) code=$LATER advice='too many requests, nothing was done: run the same again' ;;
        provider-credentials) code=$LATER advice='nothing was voided, the operators are alarmed: run the same again later' ;;
        *) code=$REFUSED advice='see how-a-void-works.md' ;;
    esac
}

judge_record() {
    local state reason
    state=$(field .state) reason=$(field .reason)
    case $state in
        voided) code=$VOIDED text=voided ;;
        failed)
            judge_reason "$reason"
            text="failed ($reason). Do: $advice"
            ;;
        submitting | unknown | pending)
            code=$LATER
            if [ "$(field .resend_allowed)" = true ]; then
                text="$state: it did not arrive. Do: send it again with a new IDEMPOTENCY_KEY, not with this"
            else
                again=true text="$state: not known yet. Do: run the same again later"
                if [ "$(field .review)" = true ]; then text="$state: a person must look at it. Do: run the same again later"; fi
            fi
            ;;
        *) return 1 ;;
    esac
}

# Sets code, again (true if the same request may be repeated) and text.
judge() { # STATUS
    local status=$1 name
    code=$LATER again=false text='' advice=''
    if { [ "$status" = 200 ] || [ "$status" = 202 ]; } && judge_record; then return; fi
    name=$(field '.type // "" | split(":") | last // ""')
    if [ "$status" = 000 ]; then name=outcome-unknown; fi
    case $name in
        invalid-request) code=$MISUSE advice='correct everything listed' ;;
        unauthenticated) code=$MISUSE advice='check VOID_SERVICE_URL, AWS_REGION, the credentials, the role and the clock' ;;
        not-found) code=$MISUSE advice='there is no void of this order here: check the order and VOID_SERVICE_URL' ;;
        in-progress) again=true advice='another request for this order is in flight: run the same again' ;;
        not-voidable)
            judge_reason "$(field .void.reason)"
            name="not-voidable ($(field .void.reason))"
            ;;
        too-many-attempts) code=$REFUSED advice='twenty attempts were made: a person must look' ;;
        too-large) code=$MISUSE advice='send a shorter comment' ;;
        unsupported-media-type) code=$MISUSE advice='send Content-Type: application/json' ;;
        idempotency-mismatch) code=$MISUSE advice='this IDEMPOTENCY_KEY came with another body: use a new one' ;;
        currency-mismatch) code=$MISUSE advice='use the currency of the void on record' ;;
        throttled) again=true advice='too many requests, nothing was done: run the same again' ;;
        provider-credentials) advice='nothing was voided, the operators are alarmed: run the same again later' ;;
        not-sent) again=true advice='nothing was sent: run the same again' ;;
        outcome-unknown) again=true advice='it may be voided or not: run the same again, which is safe' ;;
        *)
            case $status in
                4??) code=$MISUSE text="HTTP $status by something that is not the void service: check the URL" ;;
                *) again=true text="HTTP $status, not understood: it may be voided or not: run the same again" ;;
            esac
            return
            ;;
    esac
    if [ "$status" = 000 ]; then
        text="outcome-unknown: $advice"
        return
    fi
    text="$name: $(field '[.detail, .provider_code, .provider_message, (.errors // [] | .[] | "\(.pointer) \(.detail)")]
        | map(select(. != null)) | join("; ")'). Do: $advice"
}

DEADLINE=$((SECONDS + ${VOID_WAIT_SECONDS:-120}))
accepted=false # after a 202 the intent is durable: it is enough to read
wait=5
while true; do
    # Not every version of curl signs an encoded path as AWS does. Repeating the request is as safe as reading.
    if $accepted && [ "$ORDER" = "$1" ]; then status=$(call "$URL/voids/$ORDER"); else status=$(submit); fi
    judge "$status"
    if [ "$code" = $VOIDED ]; then cat "$ANSWER/body" && echo; fi
    told=$(retry_after || true)
    if [ -n "$told" ]; then
        wait=$told
    elif $accepted; then # a read has no Retry-After: it is asked less and less often
        wait=$((wait * 2 < 60 ? wait * 2 : 60))
    fi
    if [ "$status" = 202 ]; then accepted=true; fi
    if ! $again || [ $((SECONDS + wait)) -gt $DEADLINE ]; then finish "$code" "$text"; fi
    printf '%s: again in %s s\n' "${text%%:*}" "$wait" >&2
    sleep "$wait"
done
