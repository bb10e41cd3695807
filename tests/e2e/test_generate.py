"""Answers, from a request to its last event."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu_compile.options import CpuOptions
from wizardtpu_compile.targets.cpu import build_cpu_bundle

from tests.support.conversation import Answer, ask, asking, read_until
from tests.support.daemon_process import DaemonProcess
from tests.support.eventually import PATIENCE, eventually

WITH_IDS = wire.ResponseOptions(token_ids=True)
QUICKSORT = "write quicksort"


def test_greedy_answer_streams(daemon: DaemonProcess) -> None:
    answer = ask(daemon.stub, asking(QUICKSORT))
    assert answer.reason == "END_OF_TEXT"
    assert "def quicksort(items):" in answer.text
    assert len(answer.deltas) > 2
    assert all(not delta.tokens for delta in answer.deltas), "token ids that nobody asked for"


def test_greedy_is_the_default_and_repeatable(daemon: DaemonProcess) -> None:
    explicit = asking(QUICKSORT)
    explicit.sampling.CopyFrom(
        wire.SamplingOptions(temperature=0, top_k=0, top_p=1, repetition_penalty=1, repetition_window=64)
    )
    assert ask(daemon.stub, explicit).text == ask(daemon.stub, asking(QUICKSORT)).text


def test_deltas_spell_what_detokenize_gives(daemon: DaemonProcess) -> None:
    answer = ask(daemon.stub, wire.GenerateRequest(instruction=QUICKSORT, response=WITH_IDS))
    ids = answer.token_ids
    text = daemon.stub.Detokenize(wire.DetokenizeRequest(token_ids=ids)).text
    assert answer.text == text
    assert ids[-1] == 0, "the end-of-text token is a generated token"
    assert 0 not in ids[:-1]


def test_usage_counts_tokens(daemon: DaemonProcess) -> None:
    answer = ask(daemon.stub, wire.GenerateRequest(instruction=QUICKSORT, response=WITH_IDS))
    prompt = daemon.stub.Tokenize(wire.TokenizeRequest(instruction=QUICKSORT)).token_ids
    assert answer.started is not None
    assert answer.started.prompt_tokens == answer.usage.prompt_tokens == len(prompt)
    assert answer.usage.generated_tokens == len(answer.token_ids)
    assert answer.usage.reused_tokens == answer.started.reused_tokens <= len(prompt)


def test_timings_add_up(daemon: DaemonProcess) -> None:
    answer = ask(daemon.stub, asking(QUICKSORT))
    assert answer.finished is not None
    timings = answer.finished.timings
    queue, prefill = timings.queue.ToNanoseconds(), timings.prefill.ToNanoseconds()
    assert queue > 0
    assert prefill > 0
    assert timings.decode.ToNanoseconds() > 0
    assert timings.time_to_first_token.ToNanoseconds() == pytest.approx(queue + prefill, abs=1000)


def test_the_same_prompt_in_every_form(daemon: DaemonProcess) -> None:
    """An instruction is what its rendered text is, and its message, and its token ids."""
    ids = list(daemon.stub.Tokenize(wire.TokenizeRequest(instruction=QUICKSORT)).token_ids)
    prompt = daemon.stub.Detokenize(wire.DetokenizeRequest(token_ids=ids)).text
    assert prompt.endswith(f"### Instruction:\n{QUICKSORT}\n\n### Response:")
    turn = wire.Message(role=wire.ROLE_USER, content=QUICKSORT)
    requests = [
        asking(QUICKSORT),
        wire.GenerateRequest(prompt=prompt),
        wire.GenerateRequest(messages=wire.Conversation(messages=[turn])),
        wire.GenerateRequest(token_ids=wire.TokenIds(ids=ids)),
    ]
    answers = [ask(daemon.stub, request) for request in requests]
    assert {answer.text for answer in answers} == {answers[0].text}
    assert {answer.usage.prompt_tokens for answer in answers} == {len(ids)}


def test_messages_carry_the_conversation(daemon: DaemonProcess) -> None:
    turns = [wire.Message(role=wire.ROLE_USER, content=QUICKSORT)]
    first = ask(daemon.stub, wire.GenerateRequest(messages=wire.Conversation(messages=turns)))
    turns.append(wire.Message(role=wire.ROLE_ASSISTANT, content=first.text))
    turns.append(wire.Message(role=wire.ROLE_USER, content="now binary search"))
    second = ask(daemon.stub, wire.GenerateRequest(messages=wire.Conversation(messages=turns)))
    assert second.usage.prompt_tokens > first.usage.prompt_tokens + first.usage.generated_tokens - 1
    assert "def binary_search(" in second.text


def test_system_message_replaces_the_preamble(daemon: DaemonProcess) -> None:
    turns = [
        wire.Message(role=wire.ROLE_SYSTEM, content="You write Python."),
        wire.Message(role=wire.ROLE_USER, content=QUICKSORT),
    ]
    request = wire.TokenizeRequest(messages=wire.Conversation(messages=turns), with_pieces=True)
    tokens = daemon.stub.Tokenize(request)
    text = daemon.stub.Detokenize(wire.DetokenizeRequest(token_ids=tokens.token_ids)).text
    assert text == f"You write Python.\n\n### Instruction:\n{QUICKSORT}\n\n### Response:"
    assert len(tokens.pieces) == len(tokens.token_ids)


def _sampled(seed: int | None) -> wire.GenerateRequest:
    sampling = wire.SamplingOptions(temperature=6, top_k=50, top_p=0.99, repetition_penalty=1.1, seed=seed)
    stopping = wire.StoppingOptions(max_new_tokens=48)
    return wire.GenerateRequest(instruction=QUICKSORT, sampling=sampling, stopping=stopping, response=WITH_IDS)


def test_a_seed_repeats_a_sampled_answer(daemon: DaemonProcess) -> None:
    answers = [ask(daemon.stub, _sampled(seed)) for seed in (1, 1, 2, 3, 4)]
    assert answers[0].token_ids == answers[1].token_ids
    assert len({tuple(answer.token_ids) for answer in answers}) > 1


def test_the_seed_the_daemon_chose_repeats_the_answer(daemon: DaemonProcess) -> None:
    first = ask(daemon.stub, _sampled(None))
    assert first.started is not None
    assert first.finished is not None
    assert first.started.seed == first.finished.seed
    assert ask(daemon.stub, _sampled(first.finished.seed)).token_ids == first.token_ids
    other = ask(daemon.stub, _sampled(None))
    assert other.finished is not None
    assert other.finished.seed != first.finished.seed


def test_a_seed_holds_whatever_runs_beside_it(daemon: DaemonProcess) -> None:
    alone = ask(daemon.stub, _sampled(7))
    crowd = [daemon.stub.Generate(_sampled(seed), timeout=PATIENCE) for seed in (8, 7, 9)]
    answers = [Answer.read(call) for call in crowd]
    assert answers[1].token_ids == alone.token_ids


@pytest.fixture(scope="module")
def whole_text(daemon: DaemonProcess) -> str:
    return ask(daemon.stub, asking(QUICKSORT)).text


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("stop", ["return", "quicksort(items)", "]\n    larger = [", "p"])
def test_stop_sequence_ends_the_answer(daemon: DaemonProcess, whole_text: str, stop: str, include: bool) -> None:
    """Whether it is a part of a token, one token or many, what is streamed ends before it, or with it."""
    request = asking(QUICKSORT)
    request.stopping.stop_sequences.extend(["never written", stop])
    request.stopping.include_stop_sequence = include
    answer = ask(daemon.stub, request)
    before, found, _ = whole_text.partition(stop)
    assert found
    assert answer.text == before + (stop if include else "")
    assert answer.reason == "STOP_SEQUENCE"
    assert answer.finished is not None
    assert answer.finished.stop_sequence == stop


def test_no_part_of_a_stop_sequence_is_shown_first(daemon: DaemonProcess, whole_text: str) -> None:
    stop = "pivot = items[len(items) // 2]"
    assert stop in whole_text
    request = asking(QUICKSORT)
    request.stopping.stop_sequences.append(stop)
    shown = ""
    for event in daemon.stub.Generate(request, timeout=PATIENCE):
        shown += event.delta.text
        assert not any(shown.endswith(stop[:length]) for length in range(5, len(stop)))
    assert shown == whole_text.partition(stop)[0]


def test_text_held_back_for_a_stop_sequence_is_not_lost(daemon: DaemonProcess, whole_text: str) -> None:
    request = asking(QUICKSORT)
    request.stopping.stop_sequences.append(f"{whole_text[-20:]}and then something that is not written")
    answer = ask(daemon.stub, request)
    assert answer.text == whole_text
    assert answer.reason == "END_OF_TEXT"


@pytest.mark.parametrize("count", [1, 2, 17])
def test_max_new_tokens(daemon: DaemonProcess, whole_text: str, count: int) -> None:
    request = asking(QUICKSORT, max_new_tokens=count)
    request.response.CopyFrom(WITH_IDS)
    answer = ask(daemon.stub, request)
    assert answer.reason == "MAX_TOKENS"
    assert answer.usage.generated_tokens == len(answer.token_ids) == count
    assert whole_text.startswith(answer.text)


def test_context_full(endless_bundle: Path, tmp_path: Path) -> None:
    """The prompt and the answer have the context to share, to the last token of it."""
    bundle = tmp_path / "bundle"
    build_cpu_bundle(endless_bundle.parent / "checkpoint", bundle, CpuOptions(context=64, prefill_chunks=(16,)))
    with DaemonProcess(bundle, tmp_path) as daemon:
        assert daemon.stub.GetModel(wire.GetModelRequest()).context_length == 64
        for prompt in (1, 15, 16, 17, 48, 50, 63):
            request = wire.GenerateRequest(token_ids=wire.TokenIds(ids=[65] * prompt), response=WITH_IDS)
            answer = ask(daemon.stub, request)
            assert answer.reason == "CONTEXT_FULL"
            assert answer.usage.generated_tokens == len(answer.token_ids) == 64 - prompt


def test_logprobs(daemon: DaemonProcess) -> None:
    request = asking(QUICKSORT, max_new_tokens=30)
    request.response.CopyFrom(wire.ResponseOptions(logprobs=True, top_logprobs=5))
    tokens = ask(daemon.stub, request).tokens
    assert len(tokens) == 30
    for token in tokens:
        best = token.alternatives
        assert len(best) == 5
        assert (token.id, token.logprob) == (best[0].id, best[0].logprob), "greedy takes the likeliest"
        assert [a.logprob for a in best] == sorted((a.logprob for a in best), reverse=True)
        assert sum(math.exp(a.logprob) for a in best) <= 1 + 1e-5
        assert len({a.id for a in best}) == 5


def test_logprobs_change_no_token(daemon: DaemonProcess) -> None:
    """Logits that are read on the host lead to the same tokens as a choice on the device."""
    with_logprobs = asking(QUICKSORT)
    with_logprobs.response.logprobs = True
    plain = wire.GenerateRequest(instruction=QUICKSORT, response=WITH_IDS)
    answer = ask(daemon.stub, with_logprobs)
    assert answer.token_ids == ask(daemon.stub, plain).token_ids
    assert all(token.HasField("logprob") and not token.alternatives for token in answer.tokens)


def test_repetition_penalty_changes_a_repetitive_answer(endless: DaemonProcess) -> None:
    request = asking("a", max_new_tokens=40)
    request.response.CopyFrom(WITH_IDS)
    free = ask(endless.stub, request).token_ids
    request.sampling.repetition_penalty = 10
    request.sampling.repetition_window = 0
    penalized = ask(endless.stub, request).token_ids
    assert len(set(penalized)) > len(set(free))


@contextmanager
def _busy(daemon: DaemonProcess) -> Iterator[grpc.Call]:
    """Keeps the only slot taken."""
    call = daemon.stub.Generate(asking("a"))
    read_until(call, "started")
    try:
        yield call
    finally:
        call.cancel()


def test_queue_positions_count_down_and_nobody_overtakes(endless: DaemonProcess) -> None:
    with _busy(endless) as running:
        waiting = []
        for place in range(1, 5):
            waiting.append(endless.stub.Generate(asking("b", max_new_tokens=3), timeout=PATIENCE))
            endless.wait_until_running(1, queued=place)
        running.cancel()
        answers = [Answer.read(call) for call in waiting]
    for place, answer in enumerate(answers, start=1):
        assert [queued.position for queued in answer.queued] == list(range(place, 0, -1))
        assert len({queued.request_id for queued in answer.queued}) == 1


def test_those_behind_a_leaver_move_up(endless: DaemonProcess) -> None:
    with _busy(endless):
        calls = []
        for place in range(1, 4):
            calls.append(endless.stub.Generate(asking("b", max_new_tokens=3), timeout=PATIENCE))
            endless.wait_until_running(1, queued=place)
        first, leaver, last = calls
        leaver.cancel()
        endless.wait_until_running(1, queued=2)
        assert [next(last).queued.position for _ in range(2)] == [3, 2]
        assert next(first).queued.position == 1
    assert next(last).queued.position == 1
    for call in (first, last):
        assert read_until(call, "finished").usage.generated_tokens == 3


def test_requests_end_in_the_order_of_their_arrival(endless: DaemonProcess) -> None:
    with _busy(endless) as running:
        calls, order = [], []
        for place in range(1, 9):
            calls.append(endless.stub.Generate(asking("c", max_new_tokens=30), timeout=PATIENCE))
            order.append(next(calls[-1]).queued.request_id)
            endless.wait_until_running(1, queued=place)
        running.cancel()
        for call in calls:
            for _ in call:
                pass
    ended = eventually(lambda: _ended(endless, order), "a record of each request")
    assert ended == order


def _ended(daemon: DaemonProcess, ids: list[str]) -> list[str]:
    ended = [record["id"] for record in daemon.records("request ended") if record["id"] in ids]
    return ended if len(ended) == len(ids) else []


def test_expected_wait_is_told_once_there_is_experience(endless: DaemonProcess) -> None:
    ask(endless.stub, asking("d", max_new_tokens=5))
    with _busy(endless):
        call = endless.stub.Generate(asking("d", max_new_tokens=1), timeout=PATIENCE)
        assert next(call).queued.HasField("estimated_wait")
    for _ in call:
        pass


def test_model_describes_the_bundle(daemon: DaemonProcess) -> None:
    model = daemon.stub.GetModel(wire.GetModelRequest())
    assert (model.architecture, model.quantization, model.target) == ("gpt_bigcode", "f32", "cpu")
    assert model.context_length == 512
    assert model.sampling
    assert len(model.bundle_digest) == 64
    assert "### Instruction:" in model.chat_template
    highest = daemon.stub.Detokenize(wire.DetokenizeRequest(token_ids=[model.vocabulary_size - 1]))
    assert isinstance(highest.text, str)


def test_status_counts(daemon: DaemonProcess) -> None:
    before = daemon.status()
    answer = ask(daemon.stub, asking(QUICKSORT, max_new_tokens=9))
    after = daemon.wait_until_running(0)
    assert after.state == wire.SERVING_STATE_SERVING
    assert (after.slots, after.queue_capacity) == (1, 64)
    assert after.finished_requests == before.finished_requests + 1
    assert after.generated_tokens == before.generated_tokens + answer.usage.generated_tokens
    assert after.started_at == before.started_at
