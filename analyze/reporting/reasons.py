"""Reasons of the audit in French, from the keys and values that its table has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from string import Formatter
from typing import Any

from analyze.reporting.messages import Words

IN_FRENCH = {
    # of pictures
    "levels_range": "les niveaux s'étendent sur {levels:.0f} de 255",
    "edges_wide": "les contours les plus nets font {width:.1f} pixels à {side} pixels de côté",
    "levels_below": "99 pixels sur 100 sont sous le niveau {level:.0f} de 255",
    "light_lost": "écrêtée ou réduite à des contours, à {score:.2f} selon leurs parts",
    "size": "{width} x {height} pixels",
    "seen": "le modèle en voit {percent:.0f} % : --resize auto montre tout",
    # of copies
    "copy": "{how} ; gardez {keep}, {why} ({n} copies)",
    "equal_bytes": "identique à l'octet près",
    "saved_again": "enregistrée à nouveau",
    "mirrored": "en miroir",
    "cut": "recadrée",
    "framed": "encadrée",
    "marked": "marquée",
    "by_vectors": "presque le même vecteur",
    "not_opened": "la première : aucune image n'a été ouverte",
    "larger": "plus grande : {width} x {height} pixels, la suivante {next_width} x {next_height}",
    "sharper": "plus nette : ses contours font {width:.2f} pixels, ceux de la suivante "
    "{next_width:.2f}",
    "less_compressed": "moins compressée : {bytes:.2f} octets par pixel, une autre "
    "{other_bytes:.2f}",
    "unaltered": "ni recadrée, ni encadrée, ni marquée",
    "first": "la première d'images égales",
    # of pictures that are like others
    "shape_of_one": "la forme d'une autre image, sous un autre aspect",
    "shape_of_several": "la forme de {n} autres images, sous un autre aspect",
    "shared": "une image pour {n} produits",
    "shared_by_classes": "une image pour {n} produits de {n_classes} classes",
    "far": "distance moyenne à ses {n} voisines {distance:.3f}",
    "far_in_class": "distance moyenne à ses {n} voisines dans {label} {distance:.3f}",
    # of labels
    "disbelieved": "{votes} voisines sur {n} sont {suggested}, qui a {suggested_share:.2f}, sa "
    "propre étiquette {own_share:.2f}, selon {sources}",
    "votes": "les votes des voisines",
    "regression": "les probabilités hors échantillon d'une régression logistique",
    "head": "celles des classifieurs de {run}",
    "clusters": "les clusters",
    "two_classes": "{first} {first_share:.2f} ou {second} {second_share:.2f}",
    "spelled_otherwise": "plus d'images ont la graphie {suggested!r}",
}
"""By the keys of :data:`analyze.auditing.findings.REASONS`, with the same values."""

DEEPEST = 3
"""Reasons within reasons."""


class _French(Formatter):
    """Writes decimal commas."""

    def format_field(self, value: Any, format_spec: str) -> str:
        spelled: str = super().format_field(value, format_spec)
        return spelled.replace(".", ",") if isinstance(value, float) else spelled


def reason_of(row: Mapping[str, str], words: Words) -> str:
    """Spell why a picture has a finding, in French where it can be had; else as it was written.

    Parameters
    ----------
    row : mapping of str to str
        Of the audit's table.
    words : Words
    """
    written = row.get("reason", "")
    if words.language != "fr" or row.get("reason_key", "") not in IN_FRENCH:
        return written
    try:
        return _spelled(row["reason_key"], json.loads(row.get("reason_values", "")), DEEPEST)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return written  # a damaged table, or one of another version


def _spelled(key: str, values: Any, deepest: int) -> str:
    if deepest < 0:
        raise ValueError("reasons within reasons without end")
    spelled = {str(name): _value(value, deepest - 1) for name, value in values.items()}
    return _French().vformat(IN_FRENCH[key], (), spelled)


def _value(value: Any, deepest: int) -> Any:
    if isinstance(value, list):
        return ", ".join(str(_value(each, deepest)) for each in value)
    if isinstance(value, dict):
        return _spelled(value["key"], value["values"], deepest)
    return value
