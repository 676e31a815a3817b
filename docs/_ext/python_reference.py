"""The reference of Python: every public name, from its docstring."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any


def python_page() -> str:
    """Return a page on what ``extract`` and ``analyze`` export."""
    lines = [
        "# Python reference",
        "",
        "What is public, from the docstrings; examples run as tests.",
    ]
    for package in ("extract", "analyze"):
        face: Any = import_module(package)
        lines += ["", f"## `{package}`", "", "```{eval-rst}"]
        for name in sorted(face.__all__, key=str.lower):
            public = getattr(face, name)
            if inspect.isclass(public):
                lines += [f".. autoclass:: {package}.{name}", "   :members:", ""]
            elif callable(public):
                lines += [f".. autofunction:: {package}.{name}", ""]
        lines.append("```")
    return "\n".join(lines) + "\n"
