"""What cleanlab and cleanvision find, run by a Python that has them; prints JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def labels(path: str) -> list[dict[str, list[int]]]:
    """Rank pictures by cleanlab's scores of label quality, the worst first, for each run."""
    import numpy as np

    stored = np.load(path)
    return [_ranked(*each) for each in zip(stored["given"], stored["codes"], strict=True)]


def _ranked(given: Any, codes: Any) -> dict[str, list[int]]:
    import numpy as np
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    found = {}
    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        scores = get_label_quality_scores(codes, given, method=method)
        found[f"cleanlab {method}"] = np.argsort(scores, kind="stable").tolist()
    issues = find_label_issues(
        codes, given, return_indices_ranked_by="self_confidence", n_jobs=1
    ).tolist()
    rest = [row for row in found["cleanlab self_confidence"] if row not in set(issues)]
    found["cleanlab find_label_issues"] = issues + rest
    return found


def pictures(folder: str) -> dict[str, list[str]]:
    """List the pictures of each finding, by the names that the audit has for them."""
    from cleanvision import Imagelab

    lab = Imagelab(data_path=folder)
    lab.find_issues(n_jobs=1, verbose=False)
    names = {
        "blurred": "is_blurry_issue",
        "dark": "is_dark_issue",
        "overexposed": "is_light_issue",
        "blank": "is_low_information_issue",
    }
    return {
        name: [
            Path(path).relative_to(Path(folder).resolve()).as_posix()
            for path in lab.issues.index[lab.issues[column]]
        ]
        for name, column in names.items()
    }


if __name__ == "__main__":
    print(json.dumps({"labels": labels, "pictures": pictures}[sys.argv[1]](sys.argv[2])))
