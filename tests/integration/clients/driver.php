<?php
// Calls the PHP client as a merchant's code would: a task a line on standard input, its outcomes on the other.
//
// Its time is not the machine's: a wait takes a part of its seconds or none, and the clock goes on by all of them.

declare(strict_types=1);

namespace VoidService;

// A function of the client's own namespace is called before PHP's.
final class Time
{
    public static float $pace = 0;
    public static float $ahead = 0;
}

function usleep(int $microseconds): void
{
    \usleep((int) ($microseconds * Time::$pace));
    Time::$ahead += $microseconds * (1 - Time::$pace) / 1e6;
}

function hrtime(bool $asNumber): int
{
    return (Time::$pace > 0 ? \hrtime($asNumber) : 0) + (int) (Time::$ahead * 1e9);
}

function time(): int
{
    return \time() + (int) Time::$ahead;
}

/** A PSR-16 cache, as far as the client uses one. */
final class Cache
{
    public array $kept = [];

    public function get(string $key, mixed $default = null): mixed
    {
        return $this->kept[$key] ?? $default;
    }

    public function set(string $key, mixed $value, ?int $ttl = null): bool
    {
        $this->kept[$key] = $value;
        return true;
    }
}

require getenv('VOID_CLIENT');

function client(array $case, callable $log): VoidClient
{
    global $caches, $keys;
    $settings = json_encode([$case['url'], $case['region'], $case['timeout'], $case['tokens'] ?? null]);
    $tokens = $case['tokens'] ?? null;
    $caches[$settings] ??= new Cache();
    return new VoidClient(
        $case['url'],
        $case['region'],
        fn () => ['key' => $keys[0], 'secret' => $keys[1]],
        tokens: $tokens === null ? null : new ClientCredentials(
            $tokens['url'],
            $tokens['id'],
            $tokens['secret'],
            $tokens['scope'] ?? '',
            $tokens['file'] ?? $caches[$settings],
        ),
        timeout: (float) $case['timeout'],
        log: $log(...),
    );
}

function outcome(array $case): array
{
    Time::$ahead += $case['later'] ?? 0;
    $waits = $ids = [];
    $log = function (array $entry) use (&$waits, &$ids) {
        if ($entry['event'] === 'wait') {
            $waits[] = [$entry['label'], (int) round($entry['seconds'])];
        } else {
            $ids[] = $entry['request_id'] ?? null;
        }
    };
    try {
        $returned = match ($case['call']) {
            'void' => client($case, $log)->void(
                $case['order_id'],
                $case['order_currency'],
                $case['key'],
                $case['comment'] ?? null,
                (float) ($case['wait'] ?? 120),
            ),
            'read' => client($case, $log)->read($case['order_id'], $case['refresh'] ?? false),
            'decide' => client($case, $log)->decide($case['order_id'], $case['decision'], $case['revision'], $case['note']),
            'voids' => iterator_to_array(client($case, $log)->voids($case['state'], $case['day'] ?? null), false),
            'settled' => array_values(Settled::newest($case['events'])),
            'sign' => Signature::headers(
                $case['method'],
                $case['url'],
                (array) $case['headers'],
                $case['body'],
                $case['credentials'],
                $case['region'],
                $case['service'],
                $case['now'],
            )['authorization'],
        };
    } catch (VoidError $error) {
        $cause = $error->getPrevious();
        return [
            'raised' => (new \ReflectionClass($error))->getShortName(),
            'label' => $error->label,
            'advice' => $error->advice,
            'message' => $error->getMessage(),
            'status' => $error->status,
            'document' => $error->document,
            'record' => $error->record,
            'retry_after' => $error->retryAfter,
            'request_id' => $error->requestId,
            'hint' => $error->hint,
            'cause' => $cause instanceof VoidError ? $cause->label : ($cause === null ? null : 'foreign'),
            'waits' => $waits,
            'ids' => $ids,
        ];
    } catch (\InvalidArgumentException) {
        return ['raised' => 'ValueError'];
    } catch (\TypeError) {
        return ['raised' => 'TypeError'];
    }
    return ['returned' => $returned, 'waits' => $waits, 'ids' => $ids];
}

while (($line = fgets(STDIN)) !== false) {
    $task = json_decode($line, true, flags: JSON_THROW_ON_ERROR);
    [Time::$pace, Time::$ahead, $keys, $caches] = [(float) $task['pace'], 0, $task['keys'], []];
    echo json_encode(array_map(outcome(...), $task['cases']), JSON_THROW_ON_ERROR), "\n";
}
