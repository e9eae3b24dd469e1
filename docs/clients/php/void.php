<?php
// Void one order and wait for the outcome: php void.php ORDER_ID CURRENCY [COMMENT]
//
// Needs nothing but PHP with openssl; configuration and exit codes are in README.md, one folder up.
// Repeats nothing that the service does not declare safe to repeat, and never reads "not known" as "not voided".

declare(strict_types=1);

const VOIDED = 0, REFUSED = 1, LATER = 2, MISUSE = 3;

// The last part of a problem's type: exit code, whether the same request is repeated, what to do.
const PROBLEMS = [
    'invalid-request' => [MISUSE, false, 'correct everything listed'],
    'unauthenticated' => [MISUSE, false, 'check VOID_SERVICE_URL, AWS_REGION, the credentials, the role and the clock'],
    'not-found' => [MISUSE, false, 'there is no void of this order here: check the order and VOID_SERVICE_URL'],
    'in-progress' => [LATER, true, 'another request for this order is in flight: run the same again'],
    'not-voidable' => [REFUSED, false, 'see the reason'],
    'too-many-attempts' => [REFUSED, false, 'twenty attempts were made: a person must look'],
    'too-large' => [MISUSE, false, 'send a shorter comment'],
    'unsupported-media-type' => [MISUSE, false, 'send Content-Type: application/json'],
    'idempotency-mismatch' => [MISUSE, false, 'this IDEMPOTENCY_KEY came with another body: use a new one'],
    'currency-mismatch' => [MISUSE, false, 'use the currency of the void on record'],
    'throttled' => [LATER, true, 'too many requests, nothing was done: run the same again'],
    'provider-credentials' => [LATER, false, 'nothing was voided, the operators are alarmed: run the same again later'],
    'not-sent' => [LATER, true, 'nothing was sent: run the same again'],
    'outcome-unknown' => [LATER, true, 'it may be voided or not: run the same again, which is safe'],
];

// Why a void failed: exit code, what to do.
const REASONS = [
    'refused' => [REFUSED, "understand the provider's answer; to try again use a new IDEMPOTENCY_KEY"],
    'already-captured' => [REFUSED, 'the money was taken: decide about a refund, which is another operation'],
    'order-not-found' => [REFUSED, 'the provider knows no such order: check the order_id'],
    'not-executed' => [REFUSED, 'the hold still stands: use a new IDEMPOTENCY_KEY if the void is still wanted'],
    'not-sent' => [LATER, 'nothing was sent: run the same again'],
    'throttled' => [LATER, 'too many requests, nothing was done: run the same again'],
    'provider-credentials' => [LATER, 'nothing was voided, the operators are alarmed: run the same again later'],
];

function setting(string $name, string $otherwise = ''): string
{
    return getenv($name) ?: $otherwise;
}

function finish(int $code, string $text): never
{
    global $key;
    say(preg_replace('/\p{C}/u', '?', $text) ?? 'not UTF-8'); // a terminal obeys control characters
    if ($code === LATER) {
        say("with IDEMPOTENCY_KEY=$key");
    }
    exit($code);
}

function say(string $line): void
{
    fwrite(STDERR, "$line\n");
}

/**
 * AWS Signature Version 4 for a request without a query. It is here so that this example runs without packages: where
 * Composer is, use aws/aws-sdk-php instead, `new Aws\Signature\SignatureV4('execute-api', $region)` and its signRequest,
 * with the credentials of Aws\Credentials\CredentialProvider::defaultProvider().
 *
 * @param array<string, string> $headers
 * @return array<string, string>
 */
function signed(string $method, string $url, array $headers, string $body): array
{
    $parts = parse_url($url);
    $now = gmdate('Ymd\THis\Z');
    $headers += ['host' => $parts['host'] . (isset($parts['port']) ? ":{$parts['port']}" : ''), 'x-amz-date' => $now];
    if (setting('AWS_SESSION_TOKEN') !== '') {
        $headers['x-amz-security-token'] = setting('AWS_SESSION_TOKEN');
    }
    ksort($headers);
    $lines = '';
    foreach ($headers as $name => $value) {
        $lines .= "$name:" . trim(preg_replace('/ +/', ' ', $value)) . "\n";
    }
    $names = implode(';', array_keys($headers));
    // The path is encoded once more than it is sent: %20 is signed as %2520.
    $path = implode('/', array_map('rawurlencode', explode('/', $parts['path'])));
    $canonical = implode("\n", [$method, $path, '', $lines, $names, hash('sha256', $body)]);
    $scope = [substr($now, 0, 8), setting('AWS_REGION'), 'execute-api', 'aws4_request'];
    $secret = 'AWS4' . setting('AWS_SECRET_ACCESS_KEY');
    foreach ($scope as $part) {
        $secret = hash_hmac('sha256', $part, $secret, true);
    }
    $scope = implode('/', $scope);
    $signature = hash_hmac('sha256', "AWS4-HMAC-SHA256\n$now\n$scope\n" . hash('sha256', $canonical), $secret);
    $headers['authorization'] = 'AWS4-HMAC-SHA256 Credential=' . setting('AWS_ACCESS_KEY_ID')
        . "/$scope, SignedHeaders=$names, Signature=$signature";
    return $headers;
}

/**
 * The answer, or null if there is none: then nobody knows whether the request arrived.
 *
 * @param array<string, string> $headers
 * @return array{status: int, retry_after: ?int, text: string}|null
 */
function call(string $method, string $url, array $headers = [], string $body = ''): ?array
{
    $lines = [];
    foreach (signed($method, $url, $headers, $body) as $name => $value) {
        $lines[] = "$name: $value";
    }
    $http = [
        'method' => $method, 'header' => $lines, 'content' => $body, 'protocol_version' => 1.1,
        'ignore_errors' => true, // a problem has a body, too
        'follow_location' => 0, 'timeout' => 35, // the API answers within 29 s
    ];
    $stream = @fopen($url, 'r', false, stream_context_create(['http' => $http]));
    $text = $stream ? stream_get_contents($stream) : false;
    $meta = $stream ? stream_get_meta_data($stream) : [];
    $answer = $meta['wrapper_data'] ?? [];
    if ($text === false || ($meta['timed_out'] ?? true) || !preg_match('#^HTTP/\S+ (\d{3})#', $answer[0] ?? '', $status)) {
        say('no answer');
        return null;
    }
    $waits = preg_filter('/^retry-after:\s*(\d+)\s*$/i', '$1', $answer);
    return ['status' => (int) $status[1], 'retry_after' => $waits ? (int) end($waits) : null, 'text' => $text];
}

/** @return array{int, bool, string} exit code, whether to go on, what to say */
function judge(?array $answer): array
{
    if ($answer === null) {
        return [LATER, true, 'outcome-unknown: ' . PROBLEMS['outcome-unknown'][2]];
    }
    ['status' => $status, 'text' => $text] = $answer;
    $document = json_decode($text, true);
    if (($status === 200 || $status === 202) && is_string($document['state'] ?? null)) {
        return judge_record($document);
    }
    $type = is_string($document['type'] ?? null) ? $document['type'] : '';
    $name = substr((string) strrchr($type, ':'), 1);
    if (!isset(PROBLEMS[$name])) {
        return $status >= 400 && $status < 500
            ? [MISUSE, false, "HTTP $status by something that is not the void service: check the URL"]
            : [LATER, true, "HTTP $status, not understood: it may be voided or not: run the same again"];
    }
    [$code, $again, $advice] = PROBLEMS[$name];
    $details = [$document['detail'], $document['provider_code'] ?? null, $document['provider_message'] ?? null];
    foreach ($document['errors'] ?? [] as $error) {
        $details[] = "{$error['pointer']} {$error['detail']}";
    }
    if ($name === 'not-voidable') {
        $reason = $document['void']['reason'];
        [$code, $advice] = REASONS[$reason] ?? [$code, $advice];
        $name = "$name ($reason)";
    }
    return [$code, $again, "$name: " . implode('; ', array_filter($details)) . ". Do: $advice"];
}

/** @return array{int, bool, string} */
function judge_record(array $record): array
{
    ['state' => $state, 'reason' => $reason] = $record;
    if ($state === 'voided') {
        return [VOIDED, false, 'voided'];
    }
    if ($state === 'failed') {
        [$code, $advice] = REASONS[$reason] ?? [REFUSED, 'see how-a-void-works.md'];
        return [$code, false, "failed ($reason). Do: $advice"];
    }
    if ($record['resend_allowed']) {
        return [LATER, false, "$state: it did not arrive. Do: send it again with a new IDEMPOTENCY_KEY, not with this"];
    }
    $looking = $record['review'] ? ', and a person must look at it' : '';
    return [LATER, true, "$state: not known yet$looking. Do: run the same again later"];
}

$url = rtrim(setting('VOID_SERVICE_URL'), '/');
$key = setting('IDEMPOTENCY_KEY', bin2hex(random_bytes(16)));
foreach (['VOID_SERVICE_URL', 'AWS_REGION', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'] as $needed) {
    if (setting($needed) === '') {
        finish(MISUSE, "set $needed");
    }
}
if ($argc !== 3 && $argc !== 4) {
    finish(MISUSE, 'php void.php ORDER_ID CURRENCY [COMMENT]');
}
$wanted = ['order_id' => $argv[1], 'order_currency' => $argv[2]] + (($argv[3] ?? '') !== '' ? ['comment' => $argv[3]] : []);
$body = json_encode($wanted, JSON_THROW_ON_ERROR);
$waiting = getenv('VOID_WAIT_SECONDS');
$deadline = microtime(true) + ($waiting === false ? 120.0 : (float) $waiting);
$accepted = false; // after a 202 the intent is durable: it is enough to read
$wait = 5;
while (true) {
    $answer = $accepted
        ? call('GET', "$url/voids/" . rawurlencode($argv[1]))
        : call('POST', "$url/voids", ['content-type' => 'application/json', 'idempotency-key' => $key], $body);
    [$code, $again, $text] = judge($answer);
    if ($code === VOIDED) {
        echo $answer['text'], "\n";
    }
    // A read has no Retry-After: it is asked less and less often.
    $wait = $answer['retry_after'] ?? ($accepted ? min($wait * 2, 60) : $wait);
    $accepted = $accepted || ($answer['status'] ?? 0) === 202;
    if (!$again || microtime(true) + $wait > $deadline) {
        finish($code, $text);
    }
    say(strtok($text, ':') . ": again in $wait s");
    sleep($wait);
}
