"""Proving an embeddings file right, or listing the rows that are not.

Each check gives one verdict, also that it cannot be made here (no pictures, no weights). Rows that
are to do or refused are no defect: they claim nothing. That the file's parts fit each other (every
dataset a row for each id, identity and list their hashes) is proven by reading it at all; a file
that cannot be read has failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from extract.command_line import counted
from extract.ids import bytes_of
from extract.inference.fidelity import cosines
from extract.refusals import SOUND, TO_DO, Reason
from extract.verification.evidence import Evidence
from extract.verification.recomputation import (
    SAME_MACHINE_COSINE,
    agrees,
    embed_golden,
    golden_vectors,
    look_the_same,
    recompute,
    seen_by_model,
)

KNOWN_STATUS = (TO_DO, SOUND, *Reason)
NO_FOLDER = "no folder of pictures is known inside the workspace: give it with --images DIR"
NO_PICTURE = "none of the pictures is there: give their folder with --images DIR"


@dataclass(frozen=True)
class Check:
    """One verdict.

    Parameters
    ----------
    name : str
    passed : bool or None
        None where it could not be checked here.
    detail : str
        One line for people.
    rows : tuple of str
        Ids of the rows that are wrong.
    """

    name: str
    passed: bool | None
    detail: str
    rows: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {**vars(self), "rows": list(self.rows)}


def verify(evidence: Evidence) -> tuple[Check, ...]:
    """Run every check, in the order of :data:`CHECKS`."""
    return tuple(check(evidence) for check in CHECKS)


def is_sound(checks: Iterable[Check]) -> bool:
    """Whether no check failed."""
    return all(check.passed is not False for check in checks)


def check_readable(evidence: Evidence) -> Check:
    """The file is of this format, and its parts fit each other: it was read."""
    table = evidence.table
    return Check("readable", True, f"{len(table)} rows of {table.n_dims} numbers")


def check_ids(evidence: Evidence) -> Check:
    """Ids are unique, in the order of their bytes, and hold no NUL."""
    raw = [bytes_of(row_id) for row_id in evidence.table.ids]
    wrong = [i for i, row_id in enumerate(raw) if b"\0" in row_id or (i and raw[i - 1] >= row_id)]
    detail = f"{len(raw)} ids, unique, in the order of their bytes"
    if wrong:
        detail = f"{len(wrong)} of {len(raw)} ids are doubled, out of order or hold NUL"
    return Check("ids", not wrong, detail, evidence.ids(wrong))


def check_counts(evidence: Evidence) -> Check:
    """Every status is a known number, every execution config one of the file's."""
    table = evidence.table
    unknown = ~np.isin(table.rows.status, KNOWN_STATUS)
    ways = len(table.provenance.execution_configs)
    stray = (table.rows.execution_config >= ways) & (table.rows.status != TO_DO)
    counts = table.counts(evidence.proven)
    refused = counts["refused"]
    parts = [f"{counts['sound']} sound", f"{counts['to_do']} to do"]
    if "damaged" in counts:
        parts.append(f"{counts['damaged']} damaged")
    parts.append(f"{sum(refused.values())} refused" + (f": {counted(refused)}" if refused else ""))
    detail = ", ".join(parts)
    if unknown.any():
        detail += f"; {unknown.sum()} have a status that no version up to this one writes"
    if stray.any():
        detail += f"; {stray.sum()} name an execution config that is none of the file's {ways}"
    wrong = np.flatnonzero(unknown | stray)
    return Check("counts", not len(wrong), detail, evidence.ids(wrong))


def check_check_sums(evidence: Evidence) -> Check:
    """Every finished row fits its check sums, and the record its own.

    One is over id, picture's hash and vector, the other over all other fields;
    that of the execution configs is proven by reading the file at all.
    """
    table = evidence.table
    summed = table.rows.fields_crc32 != 0
    claiming = (table.rows.status == SOUND) | ((table.rows.status != TO_DO) & summed)
    wrong = np.flatnonzero(claiming & ~evidence.proven & ~table.refused())
    n_claiming = int(claiming.sum())
    detail = f"{n_claiming} rows fit their check sums"
    if len(wrong):
        detail = f"{len(wrong)} of {n_claiming} rows do not fit their check sums"
    torn = not table.provenance.record
    if torn:
        detail += "; the record is damaged"
    n_unsummed = int(((table.rows.status != TO_DO) & ~summed).sum())
    if n_unsummed:
        detail += (
            f"; {n_unsummed} are of an earlier version: nothing proves their status, size, date, "
            "execution config and dimensions"
        )
    return Check("check_sums", not (len(wrong) or torn), detail, evidence.ids(wrong))


def check_finite(evidence: Evidence) -> Check:
    """Sound rows hold no NaN and no infinity."""
    wrong = np.flatnonzero(evidence.proven & ~evidence.vectors.finite)
    detail = "sound rows are finite"
    if len(wrong):
        detail = f"{len(wrong)} sound rows hold NaN or infinity"
    return Check("finite", not len(wrong), detail, evidence.ids(wrong))


def check_not_constant(evidence: Evidence) -> Check:
    """No sound row is all zeros, or one number throughout."""
    wrong = np.flatnonzero(evidence.proven & evidence.vectors.constant)
    detail = "no sound row is zero or constant"
    if len(wrong):
        detail = f"{len(wrong)} sound rows are all zeros, or one number throughout"
    return Check("not_constant", not len(wrong), detail, evidence.ids(wrong))


def check_contents(evidence: Evidence) -> Check:
    """The pictures that are there hold the bytes that were embedded."""
    pictures = evidence.pictures
    if pictures.root is None:
        return Check("contents", None, NO_FOLDER)
    wrong = np.flatnonzero(pictures.changed)
    n_same, n_missed = int(pictures.unchanged.sum()), sum(pictures.missed.values())
    if not len(wrong) and not n_same:
        return Check("contents", None, NO_PICTURE if n_missed else "no row is sound yet")
    parts = [f"{n_same} pictures hold what was embedded"]
    if len(wrong):
        parts.append(f"{len(wrong)} have changed since")
    if n_missed:
        parts.append(f"{n_missed} cannot be read here: {counted(pictures.missed)}")
    return Check("contents", not len(wrong), ", ".join(parts), evidence.ids(wrong))


def check_doubled(evidence: Evidence) -> Check:
    """Rows with one vector show the model one picture: copies, also ones saved again."""
    hashes = evidence.table.rows.content_sha256
    equal = evidence.vectors.equal_groups()
    groups = [group for group in equal if (hashes[group] != hashes[group[0]]).any()]
    if not groups:
        copies = sum(map(len, equal))
        detail = (
            f"{copies} rows share a vector, of equal files" if copies else "no vector is doubled"
        )
        return Check("doubled", True, detail)
    n_rows = sum(map(len, groups))
    shared = f"{n_rows} rows share a vector with another file's"
    if evidence.pictures.root is None:
        return Check("doubled", None, f"{shared}; {NO_FOLDER}")
    seen = seen_by_model(evidence.table.provenance.identity)
    if seen is None:
        return Check("doubled", None, f"{shared}; how the model sees them cannot be made here")
    same = [look_the_same(evidence, group, seen) for group in groups]
    wrong = [group for group, one in zip(groups, same, strict=True) if one is False]
    if wrong:
        rows = np.sort(np.concatenate(wrong))
        detail = f"{len(rows)} rows share a vector though the model sees different pictures"
        return Check("doubled", False, detail, evidence.ids(rows))
    if None in same:
        unknown = sum(one is None for one in same)
        detail = f"{shared}; of {unknown} groups not every picture is there and unchanged"
        return Check("doubled", None, detail)
    return Check("doubled", True, f"{shared}, and the model sees one picture in each case")


def check_weights(evidence: Evidence) -> Check:
    """The backbone that is to be had here is the one that the identity names."""
    here, n_dims = evidence.here, evidence.table.n_dims
    if here.backbone is None:
        return Check("weights", False if here.differs else None, here.why)
    if here.backbone.n_dims != n_dims:
        detail = f"its vectors have {n_dims} numbers, those of its backbone {here.backbone.n_dims}"
        return Check("weights", False, detail)
    weights = here.backbone.weights
    detail = f"{here.backbone.name}, {weights['source']} weights, sha256 {weights['sha256'][:16]}"
    return Check("weights", True, detail)


def check_golden(evidence: Evidence) -> Check:
    """The golden pictures get the vectors here that are known of these weights."""
    backbone = evidence.here.backbone
    if backbone is None:
        return Check("golden", None, "the file's backbone is not to be had here")
    known = golden_vectors(str(backbone.weights["sha256"]))
    if known is None:
        return Check("golden", None, f"no golden vectors for {backbone.name} with these weights")
    names, expected = known
    again = embed_golden(backbone, names)
    if again.shape != expected.shape:
        return Check("golden", None, f"no golden vectors for {backbone.pooling} pooling")
    right = agrees(again, expected, SAME_MACHINE_COSINE)
    worst = f"worst cosine {cosines(again, expected).min():.7f}, limit {SAME_MACHINE_COSINE}"
    if right.all():
        return Check("golden", True, f"{len(names)} golden pictures get their vectors ({worst})")
    wrong = ", ".join(name for name, fits in zip(names, right, strict=True) if not fits)
    return Check("golden", False, f"golden pictures get other vectors here: {wrong} ({worst})")


def check_recomputed(evidence: Evidence) -> Check:
    """Rows drawn at random, computed again from their pictures, give what is stored."""
    backbone = evidence.here.backbone
    if backbone is None or backbone.n_dims != evidence.table.n_dims:
        return Check("recomputed", None, "the file's backbone is not to be had here")
    if evidence.pictures.root is None:
        return Check("recomputed", None, NO_FOLDER)
    found = recompute(evidence, backbone)
    if found is None:
        return Check("recomputed", None, "no sound row's picture is there, unchanged and decodable")
    limits = " and ".join(f"{limit:g}" for limit in sorted(set(found.lowest.tolist())))
    worst = f"worst cosine {found.cosine.min():.7f}, limit {limits}"
    n_wrong, n_rows = int(found.wrong.sum()), len(found.rows)
    detail = f"{n_rows} rows computed again agree ({worst})"
    if n_wrong:
        detail = (
            f"{n_wrong} of {n_rows} rows computed again differ in direction or length ({worst})"
        )
    if found.undecodable:
        detail += f"; {found.undecodable} drawn cannot be decoded here"
    return Check("recomputed", not n_wrong, detail, evidence.ids(found.rows[found.wrong]))


CHECKS: tuple[Callable[[Evidence], Check], ...] = (
    check_readable,
    check_ids,
    check_counts,
    check_check_sums,
    check_finite,
    check_not_constant,
    check_contents,
    check_doubled,
    check_weights,
    check_golden,
    check_recomputed,
)
"""All checks: first those of the file alone, then with pictures, then with weights."""
