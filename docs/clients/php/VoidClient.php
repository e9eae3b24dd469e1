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

// ---- what is thrown: three groups, and the problem's name -------------------------------------------------------------

/**
 * The hold is not known to be released. `problem` names why; what is not known is null; the previous one is the cause.
 *
 * `record` is the last record that this call saw, `retryAfter` the seconds that the service named, `requestId` what the
 * operators find in their logs, `hint` what only a local run says about a signature.
 *
 * @phpstan-import-type VoidRecord from VoidClient
 * @phpstan-import-type Answer from VoidClient
 */
abstract class VoidError extends \RuntimeException
{
    private const PROBLEMS = [
        'in-progress' => [RepeatLater::class, 'another request for this order is in flight: repeat the same request'],
        'throttled' => [RepeatLater::class, 'too many requests, this one did nothing: repeat the same request'],
        'provider-credentials' =>
            [RepeatLater::class, 'nothing was voided, the operators are notified: repeat the same later'],
        'not-sent' => [RepeatLater::class, 'nothing reached the provider: repeat the same request'],
        'outcome-unknown' => [RepeatLater::class, 'it may be voided or not: repeat the same request, which is safe'],
        'not-voidable' => [NotVoided::class, 'see the reason'],
        'too-many-attempts' => [NotVoided::class, 'all attempts are used up: ask the operators'],
        'invalid-request' => [WrongCall::class, 'correct everything listed'],
        'unauthenticated' =>
            [WrongCall::class, 'check the URL, the region, the credentials or the token, the role and the clock'],
        'not-found' => [WrongCall::class, 'there is no void of this order here: check the order and the URL'],
        'too-large' => [WrongCall::class, 'send a shorter text'],
        'unsupported-media-type' => [WrongCall::class, "let nothing change the request's Content-Type"],
        'idempotency-mismatch' => [WrongCall::class, 'this key came with another body: one key is one decision'],
        'currency-mismatch' => [WrongCall::class, 'use the currency of the void on record'],
        'changed-meanwhile' =>
            [WrongCall::class, 'the record has changed: read it again, then decide about what it shows'],
        'nothing-to-decide' => [WrongCall::class, 'the record leaves nothing to decide: read it again'],
        // The client's own.
        'not-settled-yet' => [RepeatLater::class, 'repeat the same request later, or read the void'],
        'nothing-sent' => [RepeatLater::class, 'nothing was sent: repeat the same request once the cause is gone'],
        'not-configured' => [WrongCall::class, 'nothing was sent: correct the cause'],
        'invalid-argument' => [WrongCall::class, 'nothing was sent: correct the argument'],
        'unknown-problem' => [WrongCall::class, 'check the URL and the version of this client'],
    ];
    private const PREFIX = 'urn:void-service:problem:';
    // What a gateway or a proxy may answer in words of its own.
    private const BY_STATUS =
        [401 => 'unauthenticated', 403 => 'unauthenticated', 413 => 'too-large', 429 => 'throttled'];
    private const REASONS = [
        'refused' => "understand the provider's answer; to ask again is a new decision, with a new key",
        'already-captured' => 'the money was taken: decide about a refund, which is another operation',
        'order-not-found' => 'the provider knows no such order: check the order id; after that, ask with a new key',
        'not-executed' => 'the hold is still there: if the void is still wanted, ask with a new key',
    ];

    /** The problem's name, with the void's reason or state where that decides. */
    public readonly string $label;
    public readonly string $advice;
    public readonly ?int $status;
    public readonly ?int $retryAfter;
    public readonly ?string $requestId;
    public readonly ?string $hint;

    /**
     * @param Answer|null $answer
     * @param array<string, mixed>|null $document the problem document (RFC 9457), as openapi.json has it
     * @param VoidRecord|null $record
     */
    final public function __construct(
        public readonly string $problem,
        public readonly string $detail,
        string $advice = '',
        public readonly ?array $answer = null,
        public readonly ?array $document = null,
        public readonly ?array $record = null,
        ?\Throwable $cause = null,
    ) {
        $which = ['not-voidable' => 'reason', 'not-settled-yet' => 'state'][$problem] ?? '';
        $this->label = isset($record[$which]) ? "$problem ($record[$which])" : $problem;
        $this->advice = $advice ?: self::PROBLEMS[$problem][1];
        $this->status = $answer['status'] ?? null;
        $this->retryAfter = $answer['retry_after'] ?? null;
        $this->requestId = ($document['request_id'] ?? '') ?: ($answer['request_id'] ?? '') ?: null;
        $this->hint = ($answer['hint'] ?? '') ?: null;
        $hint = $this->hint === null ? '' : " ($this->hint)";
        $text = "$this->label: " . rtrim($detail, '.') . "$hint. Do: $this->advice";
        // Parts of it come from outside, and a terminal obeys control characters.
        parent::__construct(preg_replace('/\p{C}/u', '?', $text) ?? "$problem: not UTF-8", 0, $cause);
    }

    /** The error of a problem, in its group; named as the constructor's parameters. */
    public static function of(string $problem, string $detail, mixed ...$facts): self
    {
        return new (self::PROBLEMS[$problem][0])($problem, $detail, ...$facts);
    }

    /** @param Answer $answer */
    public static function notUnderstood(array $answer): self
    {
        return self::of('outcome-unknown', "HTTP {$answer['status']}, not understood", answer: $answer);
    }

    /**
     * What an answer that is no success means: by the problem's type; without one of the service, by the status.
     *
     * @param Answer $answer
     */
    public static function ofAnswer(array $answer): self
    {
        ['status' => $status, 'document' => $document] = $answer;
        $otherwise = $status >= 500 ? 'outcome-unknown' : 'unknown-problem';
        $type = $document['type'] ?? null;
        if (!is_string($type) || !str_starts_with($type, self::PREFIX)) {
            $said = $document['message'] ?? $document['Message'] ?? 'not a problem document of the void service';
            return self::of(self::BY_STATUS[$status] ?? $otherwise, "HTTP $status, $said", answer: $answer);
        }
        $name = substr($type, strlen(self::PREFIX));
        $record = $document['void'] ?? null;
        $texts = [$document['detail'] ?? null, $document['provider_code'] ?? null, $document['provider_message'] ?? null];
        foreach ($document['errors'] ?? [] as $error) {
            $texts[] = "{$error['pointer']} {$error['detail']}";
        }
        return self::of(
            isset(self::PROBLEMS[$name]) ? $name : $otherwise,
            implode('; ', array_map(fn ($text) => rtrim((string) $text, '.'), array_filter($texts))),
            $name === 'not-voidable' ? self::REASONS[$record['reason'] ?? ''] ?? '' : '',
            $answer,
            $document,
            $record,
        );
    }

    /** Arguments are checked when a call is made, before anything is signed or sent. */
    public static function unless(bool $right, string $wrong): void
    {
        if (!$right) {
            throw self::of('invalid-argument', $wrong);
        }
    }
}

/** The final no: the same key gets the same answer. To try again is a new decision, with a new key. */
final class NotVoided extends VoidError
{
}

/** It may be voided or not, or is not possible now: the same call, with the same key, is safe to repeat. */
final class RepeatLater extends VoidError
{
}

/** Nothing was voided by this call, and repeating it unchanged does not help: correct the call or the settings. */
final class WrongCall extends VoidError
{
}

// ---- who calls, and one request --------------------------------------------------------------------------------------

/** @internal How requests are authorized. */
interface Auth
{
    /**
     * @param array<string, string> $headers by lower-case name
     * @return array<string, string> the headers to send
     */
    public function authorize(Transport $transport, string $method, string $url, string $body, array $headers): array;

    /**
     * After a 401: is another try worth it?
     *
     * @param array<string, string> $headers that were sent
     */
    public function renew(array $headers): bool;
}

/**
 * @internal AWS Signature Version 4. It is here so that this file runs without packages, and because libcurl signs an
 * encoded path rightly only since 8.14; the tests hold it to the vectors that AWS publishes.
 *
 * @phpstan-import-type Credentials from VoidClient
 */
final class Signature implements Auth
{
    /** @param (callable(): Credentials)|null $credentials */
    public function __construct(private readonly string $region, private readonly mixed $credentials)
    {
    }

    public function authorize(Transport $transport, string $method, string $url, string $body, array $headers): array
    {
        try {
            $credentials = $this->credentials === null ? self::fromEnvironment() : ($this->credentials)();
            return self::headers($method, $url, $headers, $body, $credentials, $this->region);
        } catch (\Throwable $cause) { // whatever a profile or a role comes to
            throw VoidError::of('not-configured', "no AWS credentials ({$cause->getMessage()})", cause: $cause);
        }
    }

    public function renew(array $headers): bool
    {
        return false;
    }

    /** @return Credentials */
    private static function fromEnvironment(): array
    {
        $found = ['key' => getenv('AWS_ACCESS_KEY_ID'), 'secret' => getenv('AWS_SECRET_ACCESS_KEY')];
        if (!$found['key'] || !$found['secret']) {
            throw new \RuntimeException('none in the environment');
        }
        return $found + ['token' => getenv('AWS_SESSION_TOKEN') ?: null];
    }

    /**
     * The path is encoded once more than it is sent, as for every service but S3.
     *
     * @param array<string, string> $headers by lower-case name
     * @param Credentials $credentials
     * @return array<string, string> the headers to send
     */
    public static function headers(
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
}

/**
 * Tokens of an OpenID Connect issuer for a client: one is fetched, and used until shortly before its end.
 *
 * PHP forgets all between two requests, so a token is kept: in a PSR-16 cache, or in a file that only its owner may read.
 * Whoever needs a token while another process fetches one for the same file waits for that one.
 */
final class ClientCredentials implements Auth
{
    private readonly string $file;
    private readonly string $name;

    /** @param object|string $keep a PSR-16 cache, or the path of a file; without it a file in the folder for temporary ones */
    public function __construct(
        private readonly string $tokenUrl,
        private readonly string $clientId,
        #[\SensitiveParameter] private readonly string $clientSecret,
        private readonly string $scope = '',
        private readonly object|string $keep = '',
    ) {
        // A secret that was changed, or another client, takes no token of the one before.
        $this->name = 'void_token_' . substr(hash('sha256', "$tokenUrl\n$clientId\n$clientSecret\n$scope"), 0, 40);
        $own = function_exists('posix_geteuid') ? posix_geteuid() : get_current_user();
        $this->file = is_string($keep) && $keep !== '' ? $keep : sys_get_temp_dir() . "/$this->name-$own";
    }

    public function authorize(Transport $transport, string $method, string $url, string $body, array $headers): array
    {
        return ['authorization' => 'Bearer ' . $this->kept(fn (array $token) => $token ?: $this->fetch($transport))] + $headers;
    }

    public function renew(array $headers): bool
    {
        // Only the refused one is dropped: another process may have fetched another since.
        $refused = substr($headers['authorization'], strlen('Bearer '));
        $this->kept(fn (array $token) => ($token['token'] ?? '') === $refused ? [] : $token);
        return true;
    }

    /**
     * The token after a change of what is kept, if there is one.
     *
     * @param \Closure(array<string, mixed>): array<string, mixed> $change
     */
    private function kept(\Closure $change): string
    {
        if (is_object($this->keep)) {
            $new = $change($this->current($this->keep->get($this->name)));
            $this->keep->set($this->name, $new, (int) ceil($new['lasts'] ?? 1));
            return $new['token'] ?? '';
        }
        clearstatcache(true, $this->file); // a process that lives for long would remember what was there before
        $before = umask(0077);
        $file = is_link($this->file) ? false : @fopen($this->file, 'c+');
        umask($before);
        if (!$file || !$this->ours(fstat($file)) || !flock($file, LOCK_EX)) {
            throw VoidError::of('not-configured', "the token's file $this->file is not ours alone to read and write");
        }
        try {
            $read = json_decode((string) stream_get_contents($file), true);
            $new = $change($this->current($read));
            if ($new !== $read) {
                ftruncate($file, 0);
                rewind($file);
                fwrite($file, json_encode($new, JSON_THROW_ON_ERROR));
            }
            return $new['token'] ?? '';
        } finally {
            fclose($file); // and unlocked
        }
    }

    /**
     * Is it the file of that name, of this user, and nobody else's to read?
     *
     * @param array<array-key, int> $opened
     */
    private function ours(array $opened): bool
    {
        clearstatcache(true, $this->file);
        $there = @lstat($this->file); // of a link, its own
        $private = PHP_OS_FAMILY === 'Windows' || ($opened['mode'] & 0077) === 0;
        $mine = !function_exists('posix_geteuid') || $opened['uid'] === posix_geteuid();
        return $there !== false && $there['ino'] === $opened['ino'] && $private && $mine;
    }

    /** @return array<string, mixed> empty if it is old or of another client; an age below 0 is old */
    private function current(mixed $kept): array
    {
        $age = time() - ($kept['fetched'] ?? 0);
        return ($kept['name'] ?? '') === $this->name && $age >= 0 && $age < $kept['lasts'] ? $kept : [];
    }

    /** @return array<string, mixed> */
    private function fetch(Transport $transport): array
    {
        $form = ['grant_type' => 'client_credentials'] + ($this->scope === '' ? [] : ['scope' => $this->scope]);
        $headers = ['content-type' => 'application/x-www-form-urlencoded', 'authorization' =>
            'Basic ' . base64_encode(rawurlencode($this->clientId) . ':' . rawurlencode($this->clientSecret))];
        $now = time();
        try {
            $answer = $transport->exchange('POST', $this->tokenUrl, http_build_query($form), $headers);
        } catch (VoidError $cause) { // whatever became of that request, to the API nothing was sent
            $name = $cause->problem === 'not-configured' ? $cause->problem : 'nothing-sent';
            throw VoidError::of($name, "no token: $cause->detail", cause: $cause);
        }
        ['status' => $status, 'document' => $document] = $answer;
        $token = $document['access_token'] ?? null;
        $lasts = $document['expires_in'] ?? 300;
        if ($status !== 200 || !is_string($token) || !(is_int($lasts) || is_float($lasts))) {
            $name = $status === 200 || $status === 429 || $status >= 500 ? 'nothing-sent' : 'not-configured';
            $error = is_string($document['error'] ?? null) ? $document['error'] : '';
            throw VoidError::of($name, "no token: HTTP $status $error", answer: $answer);
        }
        return ['name' => $this->name, 'token' => $token, 'fetched' => $now, 'lasts' => $lasts - min(60, $lasts / 2)];
    }
}

/**
 * @internal Sends each request once.
 *
 * @phpstan-import-type Answer from VoidClient
 */
final class Transport
{
    private const WRONG_CERTIFICATE = [CURLE_SSL_CACERT, CURLE_SSL_PEER_CERTIFICATE, CURLE_SSL_CACERT_BADFILE];

    private readonly \CurlHandle $curl;

    /**
     * @param array<int, mixed> $options
     * @param (callable(array<string, mixed>): void)|null $log
     */
    public function __construct(
        private readonly Auth $auth,
        private readonly float $timeout,
        private readonly array $options,
        private readonly mixed $log,
    ) {
        $this->curl = curl_init(); // one, so that its connection is kept
    }

    /** @param array<string, mixed> $entry */
    public function log(array $entry): void
    {
        if ($this->log !== null) {
            ($this->log)($entry);
        }
    }

    /**
     * Authorize and send. Returns a 2xx, and throws for everything else.
     *
     * @param array<string, string> $headers
     * @return Answer
     */
    public function call(string $method, string $url, string $body = '', array $headers = []): array
    {
        $headers['user-agent'] = 'void-client-php/' . VoidClient::VERSION;
        $sent = $this->auth->authorize($this, $method, $url, $body, $headers);
        $answer = $this->exchange($method, $url, $body, $sent);
        if ($answer['status'] === 401 && $this->auth->renew($sent)) {
            $sent = $this->auth->authorize($this, $method, $url, $body, $headers);
            $answer = $this->exchange($method, $url, $body, $sent);
        }
        if ($answer['status'] >= 200 && $answer['status'] < 300) {
            return $answer;
        }
        throw VoidError::ofAnswer($answer);
    }

    /**
     * @param array<string, string> $headers
     * @return Answer
     */
    public function exchange(string $method, string $url, string $body, array $headers): array
    {
        $named = [];
        $own = [
            CURLOPT_URL => $url, CURLOPT_CUSTOMREQUEST => $method, CURLOPT_RETURNTRANSFER => true, CURLOPT_PATH_AS_IS => true,
            CURLOPT_HTTPHEADER => [...array_map(fn ($name, $value) => "$name: $value", array_keys($headers), $headers), 'Expect:'],
            CURLOPT_HTTP_VERSION => CURL_HTTP_VERSION_1_1, CURLOPT_PROXY => '', CURLOPT_NOPROXY => '*',
            CURLOPT_CONNECTTIMEOUT_MS => (int) (1000 * min($this->timeout, 5)), CURLOPT_TIMEOUT_MS => (int) ceil(1000 * $this->timeout),
            CURLOPT_HEADERFUNCTION => function ($curl, string $line) use (&$named): int {
                if (preg_match('/^([^:\s]+):\s*(.*?)\s*$/s', $line, $found) === 1) {
                    $named[strtolower($found[1])] = $found[2];
                }
                return strlen($line);
            },
        ];
        curl_reset($this->curl);
        curl_setopt_array($this->curl, $this->options + $own + ($body === '' ? [] : [CURLOPT_POSTFIELDS => $body]));
        $text = curl_exec($this->curl);
        $entry = ['event' => 'answer', 'method' => $method, 'url' => $url];
        if (!is_string($text)) {
            $left = curl_getinfo($this->curl, CURLINFO_REQUEST_SIZE) > 0;
            $code = curl_errno($this->curl);
            $wrong = in_array($code, self::WRONG_CERTIFICATE, true) && !$left;
            $problem = $wrong ? 'not-configured' : ($left ? 'outcome-unknown' : 'nothing-sent');
            $error = VoidError::of($problem, "no answer ($code: " . curl_error($this->curl) . ')');
            $this->log($entry + ['problem' => $problem, 'error' => $error]);
            throw $error;
        }
        $retryAfter = $named['retry-after'] ?? '';
        $answer = [
            'status' => curl_getinfo($this->curl, CURLINFO_RESPONSE_CODE),
            'document' => self::parse($text),
            'location' => $named['location'] ?? '',
            'retry_after' => preg_match('/^[0-9]{1,9}$/D', $retryAfter) === 1 ? (int) $retryAfter : null,
            'request_id' => $named['x-amz-apigw-id'] ?? $named['x-amzn-requestid'] ?? null,
            'hint' => $named['x-local-hint'] ?? null,
        ];
        $seconds = curl_getinfo($this->curl, CURLINFO_TOTAL_TIME);
        $this->log($entry + ['status' => $answer['status'], 'request_id' => $answer['request_id'], 'seconds' => $seconds]);
        return $answer;
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
 * @phpstan-type Review array{reason: string, subject: string, since: string, read_at: ?string}
 * @phpstan-type Attempt array{number: int, requested_at: string, requested_by: ?string, with_key: bool, end: ?string,
 *   ended_at: ?string}
 * @phpstan-type Operation array{method: string, operation_id: ?string, transaction_id: ?string, status: string,
 *   first_reported_at: string, last_reported_at: string, reported_by: list<string>}
 * @phpstan-type Decision array{at: string, by: ?string, decision: string, note: string, state: string, reason: ?string}
 * @phpstan-type VoidRecord array{order_id: string, pos_id: string, state: string, reason: ?string, review: bool,
 *   reviews: list<Review>, corrected: bool, resend_allowed: bool, order_currency: ?string, comment: ?string,
 *   attempt: int, requested_at: ?string, requested_by: ?string, settled_at: ?string, provider: ?Provider,
 *   provider_code: ?string, provider_message: ?string, history: list<Step>, attempts: list<Attempt>,
 *   operations: list<Operation>, decisions: list<Decision>, version: int, revision: string}
 * @phpstan-type Webhook array{received_at: string, method: string, status: string, provider: Provider}
 * @phpstan-type Answer array{status: int, document: array<string, mixed>, location: string, retry_after: ?int,
 *   request_id: ?string, hint: ?string}
 * @phpstan-type Credentials array{key: string, secret: string, token?: ?string}
 */
final class VoidClient
{
    /** Of the contract, openapi.json. */
    public const VERSION = '2.0.0';

    private const JSON = ['content-type' => 'application/json'];

    private readonly string $url;
    private readonly Transport $transport;

    /**
     * @param string $url the API with its stage
     * @param string|null $region to sign with SigV4; or $tokens, for the routes below /oauth
     * @param (callable(): Credentials)|null $credentials of the environment if it is left out. For profiles and roles,
     *   with aws/aws-sdk-php: fn () => CredentialProvider::defaultProvider()()->wait()->toArray()
     * @param float $timeout of one request, in seconds: the API answers within 29
     * @param array<int, mixed> $curl options for curl, for a proxy or a CA of your own; proxy variables are not read
     * @param (callable(array<string, mixed>): void)|null $log is given an entry for each answer and each pause
     */
    public function __construct(
        string $url,
        ?string $region = null,
        mixed $credentials = null,
        private readonly ?ClientCredentials $tokens = null,
        float $timeout = 35.0,
        array $curl = [],
        mixed $log = null,
    ) {
        VoidError::unless(preg_match('~^https?://[^/?#\s]+(/[^?#\s]*)?$~D', $url) === 1, "not the URL of an API: $url");
        $region_fits = $tokens === null ? preg_match('/^[a-z0-9-]+$/D', $region ?? '') === 1 : $region === null;
        VoidError::unless($region_fits, 'either a region or tokens are needed');
        VoidError::unless($timeout > 0, 'the timeout is a number of seconds above 0');
        $this->url = rtrim($url, '/');
        $auth = $tokens ?? new Signature($region ?? '', $credentials);
        $this->transport = new Transport($auth, $timeout, $curl, $log);
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
        $place = $this->place($orderId);
        VoidError::unless(preg_match('/^.+$/Dsu', $orderCurrency) === 1, 'the currency is a text');
        $key = preg_match('/^[ -~]{1,255}$/D', $idempotencyKey) === 1;
        VoidError::unless($key, 'an idempotency key has 1 to 255 printable ASCII characters');
        VoidError::unless(preg_match('//u', $comment ?? '') === 1, 'the comment is a text');
        VoidError::unless($wait >= 0, 'the seconds to wait are a number, 0 or more');
        $wanted = ['order_id' => $orderId, 'order_currency' => $orderCurrency, 'comment' => $comment];
        $body = json_encode(array_filter($wanted, fn ($value) => $value !== null), JSON_THROW_ON_ERROR);
        $headers = self::JSON + ['idempotency-key' => $idempotencyKey];
        $voiding = new Voiding($this->url, $orderId, $place, $wait);
        while (true) {
            try {
                $location = $voiding->location(); // once it is accepted, the intent is durable: it is enough to read
                $answer = $location !== ''
                    ? $this->transport->call('GET', $location)
                    : $this->transport->call('POST', "$this->url/voids", $body, $headers);
                $record = $voiding->take($answer);
                if ($record !== null) {
                    return $record;
                }
            } catch (VoidError $error) {
                $pause = $voiding->pause($error);
                $this->transport->log(['event' => 'wait', 'problem' => $error->problem, 'label' => $error->label,
                    'seconds' => $pause, 'error' => $error]);
                usleep((int) (1e6 * $pause));
            }
        }
    }

    /**
     * The record of an order's void, with its webhooks; `$refresh` has the provider queried first. Sent once.
     *
     * @return VoidRecord&array{webhooks: list<Webhook>, webhooks_truncated: bool}
     */
    public function read(string $orderId, bool $refresh = false): array
    {
        $url = $this->place($orderId) . ($refresh ? '?refresh=true' : '');
        return Voiding::record($this->transport->call('GET', $url), $orderId);
    }

    /**
     * An operator's decision about what the read with this `$revision` showed. Sent once, and safe to repeat.
     *
     * @param 'reviewed'|'not-voided'|'voided' $decision
     * @return VoidRecord&array{webhooks: list<Webhook>, webhooks_truncated: bool}
     */
    public function decide(string $orderId, string $decision, string $revision, string $note): array
    {
        $url = $this->place($orderId) . '/decisions';
        VoidError::unless($this->tokens === null, 'decisions are signed: no token opens them');
        $known = in_array($decision, ['reviewed', 'not-voided', 'voided'], true);
        VoidError::unless($known, 'a decision is reviewed, not-voided or voided');
        VoidError::unless(preg_match('/^[0-9a-f]{16}$/D', $revision) === 1, 'a revision has 16 hex digits');
        VoidError::unless(preg_match('/^.{1,500}$/Dsu', $note) === 1, 'a note has 1 to 500 characters');
        $body = json_encode(['decision' => $decision, 'revision' => $revision, 'note' => $note], JSON_THROW_ON_ERROR);
        return Voiding::record($this->transport->call('POST', $url, $body, self::JSON), $orderId);
    }

    /**
     * The voids that are open, that must be reviewed (`review`), or that were `settled` on a day (UTC); page by page.
     *
     * @param 'unsettled'|'review'|'settled' $state
     * @return \Generator<int, VoidRecord>
     */
    public function voids(string $state = 'unsettled', ?string $day = null): \Generator
    {
        $known = in_array($state, ['unsettled', 'review', 'settled'], true);
        VoidError::unless($known, 'a list is unsettled, review or settled');
        $dated = $state === 'settled' ? preg_match('/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/D', $day ?? '') === 1 : $day === null;
        VoidError::unless($dated, 'the settled voids, and only those, are listed by a day like 2026-11-30');
        return $this->pages(['limit' => '100', 'state' => $state] + ($day === null ? [] : ['day' => $day]));
    }

    /**
     * @param array<string, string> $query
     * @return \Generator<int, VoidRecord>
     */
    private function pages(array $query): \Generator
    {
        do {
            $url = "$this->url/voids?" . http_build_query($query, '', '&', PHP_QUERY_RFC3986);
            $answer = $this->transport->call('GET', $url);
            if (!is_array($answer['document']['voids'] ?? null)) {
                throw VoidError::notUnderstood($answer);
            }
            foreach ($answer['document']['voids'] as $record) {
                yield $record;
            }
            $query['cursor'] = $answer['document']['cursor'] ?? null;
        } while ($query['cursor'] !== null);
    }

    /** The URL of an order's void. */
    private function place(string $orderId): string
    {
        // No order has such an id, and in a path they mean something else.
        $fits = preg_match('/^.+$/Dsu', $orderId) === 1 && $orderId !== '.' && $orderId !== '..';
        VoidError::unless($fits, 'no order has this id');
        return "$this->url/voids/" . rawurlencode($orderId);
    }
}

/**
 * @internal One call of `void`: what each answer or error means after all that was said before.
 *
 * @phpstan-import-type VoidRecord from VoidClient
 * @phpstan-import-type Answer from VoidClient
 */
final class Voiding
{
    private readonly float $deadline;
    private string $location = '';
    private string $refresh = '';
    private float $pause = 0;
    private bool $accepted = false;
    private bool $maybe = false;
    /** @var VoidRecord|null */
    private ?array $record = null;

    public function __construct(
        private readonly string $url,
        private readonly string $orderId,
        private readonly string $place,
        float $wait,
    ) {
        $this->deadline = hrtime(true) / 1e9 + $wait;
    }

    /** What to read; empty if the void is to be requested. */
    public function location(): string
    {
        $location = $this->location . $this->refresh;
        $this->refresh = '';
        return $location;
    }

    /**
     * The voided record; null if the next request is due at once; an open void is thrown.
     *
     * @param Answer $answer
     * @return VoidRecord|null
     */
    public function take(array $answer): ?array
    {
        $this->record = $record = self::record($answer, $this->orderId);
        if ($record['state'] === 'voided') {
            return $record;
        }
        if ($record['state'] === 'failed') {
            if ($this->location === '') {
                throw VoidError::notUnderstood($answer); // a refusal is a problem document
            }
            $this->location = ''; // what that means for this key, the service says when it is asked with this key
            return null;
        }
        if ($this->location === '') {
            preg_match('~^(https?://[^/]+)(.*)$~', $this->url, $parts);
            $found = $answer['location'];
            $found = str_starts_with($found, '/') ? $parts[1] . $found : $found;
            $ours = '~^' . preg_quote("$this->url/voids/", '~') . '(?!\.{1,2}$)[^/?#\s]+$~D';
            // A place outside of this API gets no authorized request.
            $this->location = preg_match($ours, $found) === 1 ? $found : $this->place;
            $this->refresh = '?refresh=true';
            $this->accepted = true;
        }
        $review = ($record['review'] ?? false) ? 'the operators must look at it; repeat the same request later, or read the void' : '';
        $new = 'it did not arrive: if the void is still wanted, ask with a new key';
        $advice = ($record['resend_allowed'] ?? false) ? $new : $review;
        throw VoidError::of('not-settled-yet', 'the outcome is not known yet', $advice, $answer, null, $record);
    }

    /** Seconds until the next request; throws what the caller must know when there is none. */
    public function pause(VoidError $error): float
    {
        $left = $this->deadline - hrtime(true) / 1e9;
        $first = $error->problem === 'provider-credentials' ? 60 : 5; // the operators act first
        $told = $error->retryAfter;
        $this->pause = $told === null ? min(max($this->pause * 2, $first), 60) : max($told, 1);
        // Reading earlier than the service said does no harm; asking again may.
        $pause = $this->location !== '' || $told === null ? min($this->pause, $left) : $this->pause;
        $this->maybe = $this->maybe || $error->problem === 'outcome-unknown';
        $end = !($error instanceof RepeatLater) || ($error->record['resend_allowed'] ?? false);
        if ($end || $left < 0.1 || $pause > $left) {
            throw $this->last($error);
        }
        return $pause;
    }

    /** Once a POST was accepted, or may have been, whatever follows is "repeat later", with the last record. */
    private function last(VoidError $cause): VoidError
    {
        $name = $this->accepted ? 'not-settled-yet' : 'outcome-unknown';
        $known = $cause instanceof NotVoided || ($cause instanceof RepeatLater && $cause->record !== null);
        if ($known || $name === $cause->problem || !($this->accepted || $this->maybe)) {
            return $cause;
        }
        $detail = "it was accepted, or may have been; then $cause->label: $cause->detail";
        return VoidError::of($name, $detail, '', $cause->answer, $cause->document, $cause->record ?? $this->record, $cause);
    }

    /**
     * @param Answer $answer
     * @return VoidRecord
     */
    public static function record(array $answer, string $orderId): array
    {
        $document = $answer['document'];
        // A cut answer, or another order's record from a cache in between, is not this void's outcome.
        if (($document['order_id'] ?? null) !== $orderId || !is_string($document['state'] ?? null)) {
            throw VoidError::notUnderstood($answer);
        }
        return $document;
    }
}

/**
 * Reads `void.settled`, as it comes from the bus, from a queue, or as a post to `outcome_url`.
 *
 * @phpstan-type Outcome array{id: string, order_id: string, state: string, reason: ?string, attempt: int, version: int,
 *   settled_at: string, review: bool, corrected: bool, order_currency: ?string, by: string}
 */
final class Settled
{
    /**
     * What an event tells, of the whole or of its `detail`. InvalidArgumentException if it is no `void.settled`.
     *
     * @param array<string, mixed>|string $event
     * @return Outcome
     */
    public static function read(array|string $event): array
    {
        $document = is_string($event) ? json_decode($event, true) : $event;
        $detail = is_array($document) ? $document['detail'] ?? $document : [];
        $names = ['id', 'order_id', 'state', 'reason', 'attempt', 'version', 'settled_at', 'review', 'corrected', 'order_currency', 'by'];
        $whole = count(array_intersect($names, array_keys($detail))) === count($names)
            && ctype_digit($detail['attempt']) && ctype_digit($detail['version']);
        if (!$whole || ($document['detail-type'] ?? 'void.settled') !== 'void.settled') {
            throw new \InvalidArgumentException('not an event void.settled');
        }
        return [
            'order_id' => rawurldecode($detail['order_id']),
            'reason' => $detail['reason'] ?: null,
            'attempt' => (int) $detail['attempt'],
            'version' => (int) $detail['version'],
            'order_currency' => $detail['order_currency'] ?: null,
        ] + array_intersect_key($detail, array_flip($names));
    }

    /**
     * What is known of each order after these events, in whatever order and however often they came.
     *
     * @param iterable<array<string, mixed>|string> $events
     * @return array<array-key, Outcome> by order id
     */
    public static function newest(iterable $events): array
    {
        $known = [];
        foreach ($events as $event) {
            $outcome = self::read($event);
            $before = $known[$outcome['order_id']] ?? $outcome;
            $known[$outcome['order_id']] = $outcome['version'] >= $before['version'] ? $outcome : $before;
        }
        return $known;
    }
}

// ---- the program ----------------------------------------------------------------------------------------------------

/**
 * Void one order. Exit codes: 0 voided, 1 not voided for good, 2 run the same again later, 3 a wrong call.
 *
 * @param list<string> $arguments
 */
function main(array $arguments): int
{
    $key = getenv('IDEMPOTENCY_KEY') ?: bin2hex(random_bytes(16));
    if (!getenv('IDEMPOTENCY_KEY')) {
        say("IDEMPOTENCY_KEY=$key"); // first, so that it is known whatever happens
    }
    $setting = fn (string $name, string $otherwise = ''): string => getenv($name) === false ? $otherwise : getenv($name);
    try {
        $enough = count($arguments) === 2 || count($arguments) === 3;
        VoidError::unless($enough, 'ORDER_ID and CURRENCY are needed, and one COMMENT may follow');
        $tokens = $setting('VOID_TOKEN_URL') === '' ? null : new ClientCredentials(
            $setting('VOID_TOKEN_URL'),
            $setting('VOID_CLIENT_ID'),
            $setting('VOID_CLIENT_SECRET'),
            $setting('VOID_TOKEN_SCOPE'),
        );
        $client = new VoidClient(
            $setting('VOID_SERVICE_URL'),
            $tokens === null ? $setting('AWS_REGION') : null,
            tokens: $tokens,
            log: function (array $entry): void {
                if ($entry['event'] === 'wait') {
                    say("{$entry['label']}: again in " . round($entry['seconds']) . ' s');
                }
            },
        );
        $waiting = $setting('VOID_WAIT_SECONDS', '120');
        $record = $client->void($arguments[0], $arguments[1], $key, $arguments[2] ?? null, ctype_digit($waiting) ? (float) $waiting : -1);
        echo json_encode($record, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES), "\n";
        return 0;
    } catch (VoidError $error) {
        say($error->getMessage());
        return $error instanceof NotVoided ? 1 : ($error instanceof RepeatLater ? 2 : 3);
    } catch (\Throwable $error) { // a crash would end with 255
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
