"""Files of a hub: in its cache first, from the network if there is one."""

from __future__ import annotations

from pathlib import Path

from extract.errors import UsageError, WeightsError
from extract.ids import shown

WEIGHTS_FILES = ("model.safetensors", "pytorch_model.bin")
PROBE_SECONDS = 5


def cached_on_hub(repo: str, name: str | None = None) -> Path | None:
    """Find a file of a repository, its weights by default, in the cache of the Hugging Face hub.

    Raises
    ------
    UsageError
        When no repository can have that name.
    """
    import huggingface_hub

    for candidate in (name,) if name else WEIGHTS_FILES:
        try:
            cached = huggingface_hub.try_to_load_from_cache(repo, candidate)
        except huggingface_hub.errors.HFValidationError as error:
            raise UsageError(
                f"{shown(repo)!r} is no repository of the Hugging Face hub: give --model "
                "hf:OWNER/NAME"
            ) from error
        except (OSError, ValueError):  # a cache that is damaged holds nothing
            continue
        if isinstance(cached, str):
            return Path(cached)
    return None


def find_on_hub(repo: str, model: str, name: str | None = None) -> Path:
    """Find a file of a repository, its weights by default, in the hub's cache, or download it.

    Raises
    ------
    WeightsError
        When it is neither cached nor to be had; the message says where it looked and ends in a
        command that works without a network.
    """
    import huggingface_hub
    from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE

    cached = cached_on_hub(repo, name)
    if cached is not None:
        return cached
    names = (name,) if name else WEIGHTS_FILES
    why = "HF_HUB_OFFLINE is set" if HF_HUB_OFFLINE else _why_hub_is_out_of_reach()
    for candidate in () if why else names:
        try:
            return Path(huggingface_hub.hf_hub_download(repo, candidate))
        except huggingface_hub.errors.RemoteEntryNotFoundError:
            why = f"{repo} has no {' or '.join(names)}"
        except huggingface_hub.errors.RepositoryNotFoundError:
            raise WeightsError(
                f"the Hugging Face hub has no {repo} that may be read: check the name"
            ) from None
        except Exception as error:  # noqa: BLE001 - the hub's client raises its HTTP library's own
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            break
    file_given = "" if name else "give a file with --weights FILE, "
    raise WeightsError(
        f"no {name or 'weights'} for {model}: {repo} is not in {HF_HUB_CACHE} and the Hugging Face "
        f"hub cannot be reached ({why}); {file_given}point HF_HOME at a cache that has it, or use "
        "packaged weights: python -m extract --model efficientnet_lite0"
    )


def cached_in_torch_home(url: str) -> Path | None:
    """Find the file of an address in torch's own cache of checkpoints."""
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    return path if path.is_file() else None


def download_to_torch_home(url: str, model: str) -> Path:
    """Find the file of an address in torch's own cache of checkpoints, or download it there.

    Raises
    ------
    WeightsError
        When it is neither cached nor to be had.
    """
    from timm.models._hub import download_cached_file

    cached = cached_in_torch_home(url)
    if cached is not None:
        return cached
    try:
        return Path(download_cached_file(url))
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"no weights for {model}: {url} cannot be fetched ({reason}); give a file with "
            "--weights FILE, or point TORCH_HOME at a cache that has it"
        ) from error


def _why_hub_is_out_of_reach() -> str | None:
    """Try once, briefly: the hub's own client would retry for most of a minute."""
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.utils import get_session

    try:
        get_session().head(ENDPOINT, timeout=PROBE_SECONDS)
    except Exception as error:  # noqa: BLE001 - requests or httpx, by the client's version
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return None
