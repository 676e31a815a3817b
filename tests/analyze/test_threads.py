"""What must repeat keeps to one thread, in every numerical library that is loaded by then."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import threadpoolctl

from analyze.threads import one_thread


def test_every_library_keeps_to_one_thread_and_has_its_own_again() -> None:
    def threads() -> list[int]:
        return [each["num_threads"] for each in threadpoolctl.threadpool_info()]

    with one_thread():  # which loads those that are used inside
        pass
    with threadpoolctl.threadpool_limits(2):
        before = threads()
        assert max(before) > 1
        with one_thread():
            assert set(threads()) == {1}
        assert threads() == before


def test_libraries_are_looked_for_again_once_there_are_more_modules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []

    class Looking(threadpoolctl.ThreadpoolController):
        def __init__(self) -> None:
            looked.append(len(sys.modules))
            super().__init__()

    with one_thread():
        pass
    monkeypatch.setattr(threadpoolctl, "ThreadpoolController", Looking)
    with one_thread():
        assert looked == []
    monkeypatch.setitem(sys.modules, "that_came_since", ModuleType("that_came_since"))
    with one_thread():
        assert looked == [len(sys.modules)]
