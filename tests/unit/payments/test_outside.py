"""A deadline covers all that is done under it, and ends at one moment of the clock."""

from payments.outside import Deadline
from tests.fakes.scene import START, Scene


class Clock:
    """Milliseconds, moved by the test."""

    def __init__(self) -> None:
        self.at = 1_000

    def __call__(self) -> int:
        return self.at


def test_a_deadline_is_over_at_its_moment_and_not_before() -> None:
    clock = Clock()
    deadline = Deadline(3_000, clock)
    for at, left, over in ((1_000, 2.0, False), (2_999, 0.001, False), (3_000, 0, True), (9_000, 0, True)):
        clock.at = at
        assert (deadline.left(), deadline.over) == (left, over)


def test_what_is_done_within_a_deadline_ends_no_later_than_it() -> None:
    clock = Clock()
    deadline = Deadline(3_000, clock)
    assert [deadline.within(seconds).at for seconds in (0.5, 2, 10)] == [1_500, 3_000, 3_000]
    clock.at = 2_000
    assert deadline.within(0.5).at == 2_500


def test_a_part_ends_earlier_and_by_the_same_clock() -> None:
    clock = Clock()
    for part in (Deadline(3_000, clock).earlier_by(0.5), Deadline(9_000, clock).within(1.5)):
        clock.at = 1_000
        assert (part.at, part.left(), part.over) == (2_500, 1.5, False)
        clock.at = 2_500
        assert (part.left(), part.over) == (0, True)


def test_a_deadline_counts_from_now() -> None:
    scene = Scene()
    scene.wait(1)
    deadline = scene.storage.deadline(19.5)
    assert deadline.at == START + 1_000 + 19_500
    scene.wait(19.5)
    assert deadline.over
