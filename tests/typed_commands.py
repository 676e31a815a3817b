"""Commands typed in this process, which has loaded all that is slow to load."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main
from warm_backbones import loaded_once

import analyze.__main__
import extract.__main__
from extract.stopping import NUMBERS


class Said(NamedTuple):
    """What a command printed and noted."""

    code: int
    out: str
    notes: list[str]

    @property
    def json(self) -> dict[str, Any]:
        assert self.code == 0, self.notes
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def all(self) -> str:
        """Everything that was said, notes first."""
        return "\n".join([*self.notes, self.out])


class Typist:
    """Types commands in a folder."""

    def __init__(
        self,
        at: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.delenv("SOSIE_ROOT", raising=False)
        self.at, self._patch, self._printed, self._noted = at, monkeypatch, capsys, caplog

    def __call__(self, main: Callable[[], None], *words: str, at: Path | None = None) -> Said:
        self._patch.chdir(at or self.at)
        self._patch.setattr(sys, "argv", ["python -m", *words])
        self._noted.clear()
        with pytest.raises(SystemExit) as end, signals_as_they_were(), loaded_once(), built_once():
            main()
        out, err = self._printed.readouterr()
        assert isinstance(end.value.code, int)
        return Said(end.value.code, out, [*self._noted.messages, *err.splitlines()])


@contextmanager
def signals_as_they_were() -> Iterator[None]:
    """Take back what a command leaves behind it in the last moment of its process."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_command_of = cache(typer.main.get_command)
_apps = {each: cache(each.build_app) for each in (extract.__main__, analyze.__main__)}


@contextmanager
def built_once() -> Iterator[None]:
    """Let the command lines be built once a process: it takes longer than many a command runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", _command_of)
        for module, app in _apps.items():
            patch.setattr(module, "build_app", app)
        yield
