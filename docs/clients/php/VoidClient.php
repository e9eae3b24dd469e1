<?php
// A client of the void service: `void` returns when the hold is released, and throws in every other case.
//
//   $client = new VoidService\VoidClient('https://….execute-api.eu-central-1.amazonaws.com/v1', 'eu-central-1');
//   $record = $client->void('123', 'UAH', idempotencyKey: $decisionId);
//
// One file, to install or to copy. It repeats only what the contract declares safe to repeat, always with the key that
// it was given, and never reads "not known" as "not voided". As a program: php VoidClient.php ORDER_ID CURRENCY [COMMENT]

declare(strict_types=1);

namespace VoidService;

// ---- what is thrown: one class for each problem type, in three groups -----------------------------------------------

/**
 * The hold is not known to be released.
 *
 * @phpstan-import-type VoidRecord from VoidClient
 */
abstract class VoidError extends \RuntimeException
{
    public const PROBLEM = '';
    public const ADVICE = '';
    /** Which field of the record decides, besides the problem's name. */
    public const DECIDES = null;

    /** The problem's name, with the void's reason or state where that decides. */
    public readonly string $label;
    public readonly string $advice;

    /**
     * @param array<string, mixed>|null $problem the problem document (RFC 9457), as openapi.json has it
     * @param VoidRecord|null $record
     */
    final public function __construct(
        string $detail,
        string $advice = '',
        public readonly ?int $status = null,
        public readonly ?array $problem = null,
        public readonly ?array $record = null,
        public readonly ?int $retryAfter = null,
    ) {
        $which = static::DECIDES === null ? null : $record[static::DECIDES] ?? null;
        $this->label = static::PROBLEM . ($which === null ? '' : " ($which)");
        $this->advice = $advice === '' ? static::ADVICE : $advice;
        $text = "$this->label: $detail. Do: $this->advice";
        // Parts of it come from outside, and a terminal obeys control characters.
        parent::__construct(preg_replace('/\p{C}/u', '?', $text) ?? 'not UTF-8');
    }
}

/** For good: the same key gets the same answer. To try again is a new decision, with a new key. */
abstract class Refused extends VoidError
{
}

/** Not known, or not possible now: the same request, with the same key, is safe to repeat. */
abstract class RepeatLater extends VoidError
{
    /** Seconds, where the service names none. */
    public const FIRST_PAUSE = 5;
}

/** The request or the configuration must be corrected. */
abstract class Misuse extends VoidError
{
}

/** A problem that this version does not know, or an answer by something that is not the void service. */
final class UnknownProblem extends VoidError
{
    public const PROBLEM = 'unknown-problem';
    public const ADVICE = 'check the URL and the version of this client';
}

final class InvalidRequest extends Misuse
{
    public const PROBLEM = 'invalid-request';
    public const ADVICE = 'correct everything listed';
}

final class Unauthenticated extends Misuse
{
    public const PROBLEM = 'unauthenticated';
    public const ADVICE = 'check the URL, the region, the credentials, the role and the clock';
}

final class NotFound extends Misuse
{
    public const PROBLEM = 'not-found';
    public const ADVICE = 'there is no void of this order here: check the order and the URL';
}

final class TooLarge extends Misuse
{
    public const PROBLEM = 'too-large';
    public const ADVICE = 'send a shorter comment';
}

final class UnsupportedMediaType extends Misuse
{
    public const PROBLEM = 'unsupported-media-type';
    public const ADVICE = "let nothing change the request's Content-Type";
}

final class IdempotencyMismatch extends Misuse
{
    public const PROBLEM = 'idempotency-mismatch';
    public const ADVICE = 'this key came with another body: one key is one decision';
}

final class CurrencyMismatch extends Misuse
{
    public const PROBLEM = 'currency-mismatch';
    public const ADVICE = 'use the currency of the void on record';
}

final class NotVoidable extends Refused
{
    public const PROBLEM = 'not-voidable';
    public const ADVICE = 'see the reason';
    public const DECIDES = 'reason';
}

final class TooManyAttempts extends Refused
{
    public const PROBLEM = 'too-many-attempts';
    public const ADVICE = 'twenty attempts were made: the operators must look';
}

final class InProgress extends RepeatLater
{
    public const PROBLEM = 'in-progress';
    public const ADVICE = 'another request for this order is in flight: repeat the same request';
}

final class Throttled extends RepeatLater
{
    public const PROBLEM = 'throttled';
    public const ADVICE = 'too many requests, nothing was done: repeat the same request';
}

final class ProviderCredentials extends RepeatLater
{
    public const PROBLEM = 'provider-credentials';
    public const ADVICE = 'nothing was voided, the operators are alarmed: repeat the same later';
    public const FIRST_PAUSE = 60; // the operators act first
}

final class NotSent extends RepeatLater
{
    public const PROBLEM = 'not-sent';
    public const ADVICE = 'nothing was sent: repeat the same request';
}

/** Also any other 5xx, an answer that cannot be read, and no answer at all. */
final class OutcomeUnknown extends RepeatLater
{
    public const PROBLEM = 'outcome-unknown';
    public const ADVICE = 'it may be voided or not: repeat the same request, which is safe';
}

/** No problem of the service: the void was accepted, and is open at the end of the patience. */
final class NotSettledYet extends RepeatLater
{
    public const PROBLEM = 'not-settled-yet';
    public const ADVICE = 'repeat the same request later, or read the void';
    public const DECIDES = 'state';
}

// ---- the client -----------------------------------------------------------------------------------------------------

/**
 * Amounts are text with the digits that the provider sent, because PHP's numbers are binary floating point.
 *
 * @phpstan-type Provider array{operation_id: ?string, payment_id: ?string, order_id: ?string, transaction_id: ?string,
 *   pos_id: ?string, mode: ?string, method: ?string, amount: ?string, currency: ?string, status: ?string,
 *   status_code: ?string, status_description: ?string, created_at: ?string, processing_time: ?string, fee: mixed,
 *   comment: ?string}
 * @phpstan-type Step array{at: string, state: string, evidence: string}
 * @phpstan-type VoidRecord array{order_id: string, state: string, reason: ?string, review: bool, corrected: bool,
 *   resend_allowed: bool, order_currency: ?string, comment: ?string, attempt: int, requested_at: ?string,
 *   requested_by: ?string, settled_at: ?string, provider: ?Provider, history: list<Step>}
 * @phpstan-type Event array{received_at: string, method: string, status: string, provider: Provider}
 * @phpstan-type Answer array{status: int, document: array<string, mixed>, location: string, retry_after: ?int}
 * @phpstan-type Credentials array{key: string, secret: string, token?: ?string}
 */
final class VoidClient
{
    /** Of the contract, openapi.json. */
    public const VERSION = '1.0.0';

    private const PROBLEM = 'urn:void-service:problem:';
    private const KINDS = [
        InvalidRequest::class, Unauthenticated::class, NotFound::class, InProgress::class, NotVoidable::class,
        TooManyAttempts::class, TooLarge::class, UnsupportedMediaType::class, IdempotencyMismatch::class,
        CurrencyMismatch::class, Throttled::class, ProviderCredentials::class, NotSent::class, OutcomeUnknown::class,
    ];
    // What a gateway or a proxy may answer in words of its own.
    private const BY_STATUS = [403 => Unauthenticated::class, 413 => TooLarge::class, 429 => Throttled::class];
    private const REASONS = [
        'refused' => "understand the provider's answer; to ask again is a new decision, with a new key",
        'already-captured' => 'the money was taken: decide about a refund, which is another operation',
        'order-not-found' => 'the provider knows no such order: check the order id; after that, ask with a new key',
        'not-executed' => 'the hold still stands: if the void is still wanted, ask with a new key',
    ];
    private const NEW_KEY = 'it did not arrive: if the void is still wanted, ask with a new key';
    private const REVIEW = 'the operators must look at it; repeat the same request later, or read the void';

    private readonly string $url;

    /**
     * @param string $url the API with its stage
     * @param (callable(): Credentials)|null $credentials of the environment if it is left out. For profiles and roles,
     *   with aws/aws-sdk-php: fn () => CredentialProvider::defaultProvider()()->wait()->toArray()
     * @param float $timeout of one request, in seconds: the API answers within 29
     * @param (callable(RepeatLater, int): void)|null $onWait is told of each pause and its cause
     */
    public function __construct(
        string $url,
        private readonly string $region,
        private readonly mixed $credentials = null,
        private readonly float $timeout = 35.0,
        private readonly mixed $onWait = null,
    ) {
        if (preg_match('~^https?://[^/?#]+(/[^?#]*)?$~D', $url) !== 1) {
            throw new \InvalidArgumentException("not the URL of an API: $url");
        }
        if ($region === '') {
            throw new \InvalidArgumentException('a region is needed');
        }
        $this->url = rtrim($url, '/');
    }

    /**
     * Release the hold of an order, and wait up to `$wait` seconds for the outcome. Returns only a voided record.
     *
     * Keep one key with each decision to void, and give it whenever you ask again. With 0 seconds one request is sent.
     *
     * @return VoidRecord
     */
    public function void(
        string $orderId,
        string $orderCurrency,
        string $idempotencyKey,
        ?string $comment = null,
        float $wait = 120.0,
    ): array {
        if (preg_match('/^[ -~]{1,255}$/D', $idempotencyKey) !== 1) {
            throw new \InvalidArgumentException('an idempotency key has 1 to 255 printable ASCII characters');
        }
        if (!($wait >= 0)) {
            throw new \InvalidArgumentException('the seconds to wait are a number, 0 or more');
        }
        $wanted = ['order_id' => $orderId, 'order_currency' => $orderCurrency, 'comment' => $comment];
        $body = json_encode(array_filter($wanted, fn ($value) => $value !== null), JSON_THROW_ON_ERROR);
        $headers = ['content-type' => 'application/json', 'idempotency-key' => $idempotencyKey];
        $deadline = self::seconds() + $wait;
        $location = '';
        $pause = 0;
        while (true) {
            try {
                $answer = $location !== '' // the intent is durable: it is enough to read
                    ? $this->call('GET', $location)
                    : $this->call('POST', "$this->url/voids", $body, $headers);
                $record = self::record($answer, $orderId);
                if ($record['state'] === 'voided') {
                    return $record;
                }
                if ($record['state'] === 'failed') {
                    if ($location === '') {
                        throw self::unreadable($answer); // a refusal is a problem document
                    }
                    $location = ''; // what that means for this key, the service says when it is asked with this key
                    continue;
                }
                $location = $location === '' ? $this->location($answer, $orderId) : $location;
                throw self::open($answer, $record);
            } catch (RepeatLater $error) {
                $pause = $error->retryAfter === null
                    ? min(max($pause * 2, $error::FIRST_PAUSE), 60)
                    : max($error->retryAfter, 1);
                if (($error->record['resend_allowed'] ?? false) || self::seconds() + $pause > $deadline) {
                    throw $error;
                }
                if ($this->onWait !== null) {
                    ($this->onWait)($error, $pause);
                }
                sleep($pause);
            }
        }
    }

    /**
     * The record of an order's void, with its webhooks; `$refresh` has the provider asked first. Sent once.
     *
     * @return VoidRecord&array{events: list<Event>, events_truncated: bool}
     */
    public function read(string $orderId, bool $refresh = false): array
    {
        return self::record($this->call('GET', $this->orderUrl($orderId) . ($refresh ? '?refresh=true' : '')), $orderId);
    }

    /**
     * The voids that are not settled, next due first, or those that need a person (`review`); page by page.
     *
     * @return \Generator<int, VoidRecord>
     */
    public function voids(string $state = 'unsettled'): \Generator
    {
        $query = ['limit' => '100', 'state' => $state];
        do {
            $answer = $this->call('GET', "$this->url/voids?" . http_build_query($query, '', '&', PHP_QUERY_RFC3986));
            if (!is_array($answer['document']['voids'] ?? null)) {
                throw self::unreadable($answer);
            }
            foreach ($answer['document']['voids'] as $record) {
                yield $record;
            }
            $query['cursor'] = $answer['document']['cursor'] ?? null;
        } while ($query['cursor'] !== null);
    }

    private function orderUrl(string $orderId): string
    {
        if (in_array($orderId, ['', '.', '..'], true)) { // no order has such an id, and in a path they mean something else
            throw new \InvalidArgumentException('no order has this id');
        }
        return "$this->url/voids/" . rawurlencode($orderId);
    }

    /**
     * Where the answer says that the void is read; a place outside of this API gets no signed request.
     *
     * @param Answer $answer
     */
    private function location(array $answer, string $orderId): string
    {
        preg_match('~^(https?://[^/]+)(.*)$~', $this->url, $parts);
        $found = $answer['location'];
        if (str_starts_with($found, '/')) {
            $found = $parts[1] . $found;
        }
        $ours = '~^' . preg_quote("$this->url/voids/", '~') . '(?!\.{1,2}$)[^/?#\s]+$~D';
        return preg_match($ours, $found) === 1 ? $found : $this->orderUrl($orderId);
    }

    /**
     * Sign and send once. Returns a 2xx, and throws for everything else.
     *
     * @param array<string, string> $headers
     * @return Answer
     */
    private function call(string $method, string $url, string $body = '', array $headers = []): array
    {
        $credentials = $this->credentials === null ? self::fromEnvironment() : ($this->credentials)();
        $lines = ['user-agent: void-client-php/' . self::VERSION];
        foreach (self::signed($method, $url, $headers, $body, $credentials, $this->region) as $name => $value) {
            $lines[] = "$name: $value";
        }
        $http = [
            'method' => $method, 'header' => $lines, 'content' => $body, 'protocol_version' => 1.1,
            'ignore_errors' => true, // a problem has a body, too
            'follow_location' => 0, 'timeout' => $this->timeout,
        ];
        $stream = @fopen($url, 'r', false, stream_context_create(['http' => $http]));
        $text = $stream ? stream_get_contents($stream) : false;
        $meta = $stream ? stream_get_meta_data($stream) : [];
        $lines = $meta['wrapper_data'] ?? [];
        $whole = $text !== false && !$meta['timed_out'] && strlen($text) >= (int) self::header($lines, 'content-length');
        if (!$whole || preg_match('#^HTTP/\S+ (\d{3})#', $lines[0] ?? '', $status) !== 1) {
            throw new OutcomeUnknown('no answer'); // nobody knows whether the request arrived
        }
        $retryAfter = self::header($lines, 'retry-after');
        $answer = [
            'status' => (int) $status[1],
            'document' => self::parse($text),
            'location' => self::header($lines, 'location'),
            'retry_after' => preg_match('/^[0-9]{1,9}$/D', $retryAfter) === 1 ? (int) $retryAfter : null,
        ];
        if ($answer['status'] >= 200 && $answer['status'] < 300) {
            return $answer;
        }
        throw self::error($answer);
    }

    /**
     * AWS Signature Version 4. It is here so that this file runs without packages; the tests hold it to the vectors that
     * AWS publishes. The path is encoded once more than it is sent, as for every service but S3.
     *
     * @param array<string, string> $headers by lower-case name
     * @param Credentials $credentials
     * @return array<string, string> the headers to send
     */
    public static function signed(
        string $method,
        string $url,
        array $headers,
        string $body,
        array $credentials,
        string $region,
        string $service = 'execute-api',
        ?int $now = null,
    ): array {
        $parts = parse_url($url);
        $date = gmdate('Ymd\THis\Z', $now ?? time());
        $headers += ['host' => $parts['host'] . (isset($parts['port']) ? ":{$parts['port']}" : ''), 'x-amz-date' => $date];
        if (($credentials['token'] ?? '') !== '' && $credentials['token'] !== null) {
            $headers['x-amz-security-token'] = $credentials['token'];
        }
        ksort($headers, SORT_STRING);
        $lines = '';
        foreach ($headers as $name => $value) {
            $lines .= "$name:" . trim(preg_replace('/ +/', ' ', $value)) . "\n";
        }
        $names = implode(';', array_keys($headers));
        $path = implode('/', array_map('rawurlencode', explode('/', $parts['path'] ?? '/')));
        $pairs = [];
        foreach (array_filter(explode('&', $parts['query'] ?? ''), 'strlen') as $pair) {
            [$name, $value] = explode('=', $pair, 2) + [1 => ''];
            $pairs[] = [rawurlencode(rawurldecode($name)), rawurlencode(rawurldecode($value))];
        }
        usort($pairs, fn (array $a, array $b) => strcmp($a[0], $b[0]) ?: strcmp($a[1], $b[1]));
        $query = implode('&', array_map(fn (array $pair) => "$pair[0]=$pair[1]", $pairs));
        $canonical = implode("\n", [$method, $path, $query, $lines, $names, hash('sha256', $body)]);
        $scope = [substr($date, 0, 8), $region, $service, 'aws4_request'];
        $secret = 'AWS4' . $credentials['secret'];
        foreach ($scope as $part) {
            $secret = hash_hmac('sha256', $part, $secret, true);
        }
        $scope = implode('/', $scope);
        $signature = hash_hmac('sha256', "AWS4-HMAC-SHA256\n$date\n$scope\n" . hash('sha256', $canonical), $secret);
        $headers['authorization'] = "AWS4-HMAC-SHA256 Credential={$credentials['key']}/$scope, "
            . "SignedHeaders=$names, Signature=$signature";
        return $headers;
    }

    /** @return Credentials */
    private static function fromEnvironment(): array
    {
        $found = ['key' => getenv('AWS_ACCESS_KEY_ID'), 'secret' => getenv('AWS_SECRET_ACCESS_KEY')];
        if (!$found['key'] || !$found['secret']) {
            throw new \InvalidArgumentException('no AWS credentials in the environment');
        }
        return $found + ['token' => getenv('AWS_SESSION_TOKEN') ?: null];
    }

    private static function seconds(): float
    {
        return hrtime(true) / 1e9;
    }

    /** @param list<string> $lines */
    private static function header(array $lines, string $name): string
    {
        $found = preg_filter("/^$name:\\s*(.*?)\\s*$/i", '$1', $lines);
        return $found ? end($found) : '';
    }

    /** @return array<string, mixed> empty if it is not a JSON object */
    private static function parse(string $text): array
    {
        if (json_decode($text) === null) {
            return [];
        }
        // In valid JSON a quote inside of a string is escaped, so that only these two members can match.
        $exact = preg_replace('/"(amount|fee)"(\s*:\s*)(-?[0-9][0-9.eE+-]*)/', '"$1"$2"$3"', $text);
        $document = json_decode($exact ?? '', true);
        return is_array($document) ? $document : [];
    }

    /**
     * @param Answer $answer
     * @return VoidRecord
     */
    private static function record(array $answer, string $orderId): array
    {
        $document = $answer['document'];
        // A cut answer, or another order's record from a cache in between, is not this void's outcome.
        if (($document['order_id'] ?? null) !== $orderId || !is_string($document['state'] ?? null)) {
            throw self::unreadable($answer);
        }
        return $document;
    }

    /** @param Answer $answer */
    private static function unreadable(array $answer): OutcomeUnknown
    {
        return new OutcomeUnknown("HTTP {$answer['status']}, not understood", status: $answer['status']);
    }

    /**
     * @param Answer $answer
     * @param VoidRecord $record
     */
    private static function open(array $answer, array $record): NotSettledYet
    {
        $review = ($record['review'] ?? false) ? self::REVIEW : '';
        return new NotSettledYet(
            'the outcome is not known yet',
            advice: ($record['resend_allowed'] ?? false) ? self::NEW_KEY : $review,
            status: $answer['status'],
            record: $record,
            retryAfter: $answer['retry_after'],
        );
    }

    /**
     * What is thrown for an error: by the problem's type; without one of the service, by the status.
     *
     * @param Answer $answer
     */
    private static function error(array $answer): VoidError
    {
        ['status' => $status, 'document' => $document, 'retry_after' => $retryAfter] = $answer;
        $otherwise = $status >= 500 ? OutcomeUnknown::class : UnknownProblem::class;
        $type = $document['type'] ?? null;
        if (!is_string($type) || !str_starts_with($type, self::PROBLEM)) {
            $kind = self::BY_STATUS[$status] ?? $otherwise;
            $said = $document['message'] ?? $document['Message'] ?? 'not a problem document of the void service';
            return new $kind("HTTP $status, $said", status: $status, retryAfter: $retryAfter);
        }
        $kind = $otherwise;
        foreach (self::KINDS as $known) {
            $kind = $type === self::PROBLEM . $known::PROBLEM ? $known : $kind;
        }
        $record = $document['void'] ?? null;
        $details = [$document['detail'] ?? null, $document['provider_code'] ?? null, $document['provider_message'] ?? null];
        foreach ($document['errors'] ?? [] as $error) {
            $details[] = "{$error['pointer']} {$error['detail']}";
        }
        return new $kind(
            implode('; ', array_filter($details)),
            advice: $kind === NotVoidable::class ? self::REASONS[$record['reason'] ?? ''] ?? '' : '',
            status: $status,
            problem: $document,
            record: $record,
            retryAfter: $retryAfter,
        );
    }
}

// ---- the program ----------------------------------------------------------------------------------------------------

/**
 * Void one order. Exit codes: 0 voided, 1 refused for good, 2 run the same again later, 3 misuse.
 *
 * @param list<string> $arguments
 */
function main(array $arguments): int
{
    $key = getenv('IDEMPOTENCY_KEY') ?: bin2hex(random_bytes(16));
    if (!getenv('IDEMPOTENCY_KEY')) {
        say("IDEMPOTENCY_KEY=$key"); // first, so that it is known whatever happens
    }
    try {
        if (count($arguments) !== 2 && count($arguments) !== 3) {
            throw new \InvalidArgumentException('ORDER_ID and CURRENCY are needed, and one COMMENT may follow');
        }
        $client = new VoidClient(
            (string) getenv('VOID_SERVICE_URL'),
            (string) getenv('AWS_REGION'),
            onWait: fn (RepeatLater $error, int $seconds) => say("$error->label: again in $seconds s"),
        );
        $waiting = getenv('VOID_WAIT_SECONDS');
        $wait = $waiting === false ? 120.0 : (is_numeric($waiting) ? (float) $waiting : NAN);
        $record = $client->void($arguments[0], $arguments[1], $key, $arguments[2] ?? null, $wait);
        echo json_encode($record, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES), "\n";
        return 0;
    } catch (VoidError $error) {
        say($error->getMessage());
        return $error instanceof Refused ? 1 : ($error instanceof RepeatLater ? 2 : 3);
    } catch (\InvalidArgumentException | \JsonException $error) {
        say($error->getMessage() . ': set VOID_SERVICE_URL, AWS_REGION and credentials; ORDER_ID CURRENCY [COMMENT]');
        return 3;
    } catch (\Throwable $error) {
        say(get_class($error) . ': it may be voided or not: run the same again, which is safe');
        return 2;
    }
}

function say(string $line): void
{
    fwrite(STDERR, "$line\n");
}

if (PHP_SAPI === 'cli' && realpath($_SERVER['SCRIPT_FILENAME']) === __FILE__) {
    exit(main(array_slice($argv, 1)));
}
