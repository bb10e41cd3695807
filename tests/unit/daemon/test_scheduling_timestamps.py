from __future__ import annotations

from wizardtpud.scheduling.timestamps import Timestamps


def test_durations_lie_between_the_states() -> None:
    times = Timestamps(arrived=1.0, admitted=3.0, first_token=7.0, last_token=15.0, ended=31.0)

    assert (times.queue, times.prefill, times.decode) == (2.0, 4.0, 8.0)
    assert times.time_to_first_token == 6.0
    assert times.total == 30.0


def test_a_state_that_was_not_reached_has_no_duration() -> None:
    times = Timestamps(arrived=1.0, admitted=3.0)

    assert times.queue == 2.0
    assert (times.prefill, times.decode, times.time_to_first_token, times.total) == (None, None, None, None)


def test_the_first_token_is_noted_once_and_the_last_one_always() -> None:
    times = Timestamps()

    times.generated()
    first = times.first_token
    times.generated()

    assert times.first_token == first
    assert times.last_token is not None
    assert first is not None
    assert times.arrived <= first < times.last_token
