"""The service lives through a growing catalogue, and what judges that sees what is wrong."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from served import serving

from tests.benchmarks.fate import Fate, Seen, judged, run
from tests.benchmarks.serving import environment
from tests.faults.warm_server import WarmServer


@pytest.mark.slow
@pytest.mark.service
def test_a_growing_catalogue_is_answered_from_all_along_as_the_command_answers(
    warm_server: WarmServer, tmp_path: Path
) -> None:
    def command(root: Path, *words: str) -> str:
        process = warm_server.start(words, tmp_path / "said", root, environment())
        assert process.wait() == 0, process.said
        return process.said

    serve = partial(serving, warm=warm_server)
    found = run(9, kills=False, per_kind=2, growths=1, pause=1.5, command=command, serve=serve)
    assert found["right"], found
    assert found["answers_compared"] > 20
    assert {"id", "picture", "page", "product", "thumbnail"} <= found["requests"].keys()
    assert len(found["growths"]) == 1


def answer(n_images: int, *hits: tuple[str, float]) -> str:
    return json.dumps(["a", n_images, [[[row_id], cosine] for row_id, cosine in hits]])


def test_a_mixture_a_refusal_and_a_growing_memory_are_found_wrong() -> None:
    before, after = answer(3, ("b", 0.5), ("c", 0.4)), answer(4, ("d", 0.9), ("b", 0.5))
    steady = [(float(i), 100) for i in range(40)]

    def judge(answered: str, memory: list[tuple[float, int]], status: int = 200) -> bool:
        seen = Seen()
        seen.answers["a"][answered] += 1
        seen.longest_409 = 3.0 if status == 409 else 0.0
        fate = Fate(memory=memory, expected=[{"a": before}, {"a": after}])
        return bool(judged(seen, fate, 40)["right"])

    near = answer(4, ("d", 0.9 + 1e-6), ("b", 0.5))
    assert all(judge(each, steady) for each in (before, after, near))
    for mixed in (answer(4, ("b", 0.5), ("c", 0.4)), answer(4, ("d", 0.8), ("b", 0.5))):
        assert not judge(mixed, steady)
    assert not judge(answer(4, ("d", 0.9)), steady)
    assert not judge(before, steady, 409)
    assert not judge(before, [(float(i), 100 + i) for i in range(40)])
