"""Threads end when they are told to."""

from __future__ import annotations

import threading
import time

from wizardtpu_compile.steps.cancellation import Cancelled, cancel


def test_a_thread_that_looks_ends_by_itself() -> None:
    cancelled = threading.Event()
    thread = threading.Thread(target=cancelled.wait)
    thread.start()
    cancel([thread], cancelled)
    thread.join()


def test_a_thread_that_does_not_look_is_made_to_raise_and_cleans_up() -> None:
    began, cleaned = threading.Event(), threading.Event()

    def work() -> None:
        try:
            began.set()
            while True:
                time.sleep(0.01)
        except Exception as error:
            raise AssertionError from error
        except Cancelled:
            cleaned.set()

    thread = threading.Thread(target=work)
    thread.start()
    began.wait()
    cancel([thread], threading.Event())
    thread.join()
    assert cleaned.is_set()
