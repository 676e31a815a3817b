"""Whether a backbone can be fused on its device, and is near enough to the reference path then."""

from __future__ import annotations

from importlib.util import find_spec

from extract.backbones.registry import Backbone
from extract.errors import in_one_line
from extract.inference.fidelity import FP32_FLOOR, cosines, drawn_pictures
from extract.inference.runtimes import prepared


def can_be_fused(backbone: Backbone) -> bool:
    """Say whether a backbone is a ConvNeXt of plain blocks on a CUDA device, and Triton is here."""
    if not backbone.device.startswith("cuda") or find_spec("triton") is None:
        return False
    from extract.inference.fused_convnext import takes

    return takes(backbone.model)


def why_not_fused(backbone: Backbone, dtype: str) -> str | None:
    """Compute drawn pictures fused and by the reference path; None where they agree.

    Parameters
    ----------
    backbone : Backbone
        One that can be fused.
    dtype : str
        ``bf16`` or ``fp16``.

    Returns
    -------
    str or None
        What is wrong, for people.
    """
    import torch
    from triton.errors import TritonError

    drawn = drawn_pictures()
    placed = [torch.from_numpy(backbone.preprocessing.placed(picture)) for picture in drawn]
    pixels = torch.stack(placed).to(backbone.device)
    way = {"runtime": "fused", "dtype": dtype, "batch_size": len(drawn)}
    way["threads"] = torch.get_num_threads()
    try:
        found = prepared(backbone, way)(pixels).cpu().numpy()
    except (RuntimeError, TypeError, ValueError, AttributeError, TritonError) as error:
        return f"the fused kernels do not work here ({in_one_line(error)})"
    worst = float(cosines(found, backbone.embed_pictures(drawn)).min())  # fp32 is fp32 by now
    if worst >= FP32_FLOOR:
        return None
    return f"fused rows are at cosine {worst:.6f} to the reference path, below {FP32_FLOOR}"
