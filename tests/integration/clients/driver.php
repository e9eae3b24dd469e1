<?php
// Calls the PHP client as a merchant's code would: a task on standard input, outcomes on standard output.
//
// Its time is not the machine's: a wait takes a part of its seconds or none, and the clock goes on by all of them.

declare(strict_types=1);

namespace VoidService;

// A function of the client's own namespace is called before PHP's.
final class Time
{
    public static float $pace = 0;
    public static float $ahead = 0;
    public static int $skew = 0;
}

function sleep(int $seconds): int
{
    \usleep((int) ($seconds * Time::$pace * 1e6));
    Time::$ahead += $seconds * (1 - Time::$pace);
    return 0;
}

function hrtime(bool $asNumber): int
{
    return \hrtime($asNumber) + (int) (Time::$ahead * 1e9);
}

function time(): int
{
    return \time() + Time::$skew;
}

require getenv('VOID_CLIENT');

function outcome(array $case): array
{
    $waits = [];
    try {
        $client = new VoidClient(
            $case['api'] ?? $case['url'],
            $case['region'],
            timeout: (float) $case['timeout'],
            onWait: function (RepeatLater $error, int $seconds) use (&$waits) {
                $waits[] = [$error->label, $seconds];
            },
        );
        $returned = match ($case['call']) {
            'void' => $client->void(
                $case['order_id'],
                $case['order_currency'],
                $case['key'],
                $case['comment'] ?? null,
                (float) ($case['wait'] ?? 120),
            ),
            'read' => $client->read($case['order_id'], $case['refresh'] ?? false),
            'voids' => iterator_to_array($client->voids($case['state']), false),
            'sign' => VoidClient::signed(
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
        return [
            'raised' => (new \ReflectionClass($error))->getShortName(),
            'group' => (new \ReflectionClass($error))->getParentClass()->getShortName(),
            'label' => $error->label,
            'advice' => $error->advice,
            'message' => $error->getMessage(),
            'status' => $error->status,
            'problem' => $error->problem,
            'record' => $error->record,
            'retry_after' => $error->retryAfter,
            'waits' => $waits,
        ];
    } catch (\InvalidArgumentException) {
        return ['refused_before_sending' => true];
    }
    return ['returned' => $returned, 'waits' => $waits];
}

$task = json_decode(stream_get_contents(STDIN), true, flags: JSON_THROW_ON_ERROR);
Time::$pace = (float) $task['pace'];
Time::$skew = $task['skew'];
echo json_encode(array_map(outcome(...), $task['cases']), JSON_THROW_ON_ERROR);
