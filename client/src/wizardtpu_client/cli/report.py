"""The figures of an answer for --verbose."""

from __future__ import annotations

from wizardtpu_client.events import Finished


def report(finished: Finished) -> str:
    """Two lines; tokens/s counts the tokens after the first over the time of decoding."""
    usage, timings = finished.usage, finished.timings
    later = usage.generated_tokens - 1
    speed = f"{later / timings.decode:.1f} tokens/s" if later > 0 and timings.decode else "no speed to tell"
    return (
        f"{usage.generated_tokens} tokens, {speed}, first token after {timings.time_to_first_token:.3f} s; "
        f"queue {timings.queue:.3f} s, prefill {timings.prefill:.3f} s, decode {timings.decode:.3f} s\n"
        f"ended by {_end(finished)}; prompt of {usage.prompt_tokens} tokens ({usage.reused_tokens} reused), "
        f"seed {finished.seed}\n"
    )


def _end(finished: Finished) -> str:
    reason = finished.reason.value.replace("_", " ")
    return f"{reason} {finished.stop_sequence!r}" if finished.stop_sequence else reason
