"""What tests of heads share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def few_strengths() -> Iterator[None]:
    """Search two strengths of the regression: it is a baseline here, and most of the time."""
    with pytest.MonkeyPatch.context() as patched:
        for module in ("analyze.measures.probes", "analyze.head.tasks.set_baselines"):
            patched.setattr(f"{module}.GRID", (1.0, 10.0))
        yield
