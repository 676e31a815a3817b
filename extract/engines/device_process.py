"""The process that forwards batches on one device; a program of its own, as a GPU needs it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

from extract.inference.forward_pass import ForwardPass, Launched
from extract.inference.runtimes import apply_execution_config
from extract.loading.batch_ring import pin
from extract.loading.gpu_process import end_with
from extract.loading.shared_memory import SharedMemory
from extract.machine.processor import sleep_while_gpu_works

if TYPE_CHECKING:
    from extract.backbones.registry import Backbone


class Batch(NamedTuple):
    """A batch to forward: by which pass, and where its pixels are."""

    forward: int
    ring: int
    place: int


@dataclass(frozen=True)
class DeviceSetup:
    """What the process is given when it starts.

    Parameters
    ----------
    parent : int
        The process with which it ends.
    device : str
    execution_configs : list of mapping
        Of each pass.
    backbones : int
        Handle of the memory that holds the backbone of each pass, as torch saves them.
    rings : list of (int, tuple of int)
        Handle of each ring, and its shape.
    """

    parent: int
    device: str
    execution_configs: list[Mapping[str, Any]]
    backbones: int
    rings: list[tuple[int, tuple[int, ...]]]


def packed(backbones: Sequence[Backbone]) -> SharedMemory:
    """Put backbones where processes find them; a model that several share is there once."""
    from dataclasses import replace

    import torch

    buffer = io.BytesIO()
    torch.save([replace(each, network=each.model) for each in backbones], buffer)
    memory = SharedMemory.allocate(buffer.tell())
    memory.mapped.write(buffer.getbuffer())
    return memory


def serve(handle: int) -> None:
    """Forward what is requested until the parent hangs up; what the process does.

    A batch is sent on its way while the one before is computed.
    """
    connection = Connection(handle)
    with connection:
        setup: DeviceSetup = connection.recv()
        end_with(setup.parent)
        try:
            _forward_all(connection, setup)
        except (EOFError, ConnectionError):  # nobody wants anything any more
            return
        except Exception as error:  # noqa: BLE001 - others compute in its place
            connection.send(f"{type(error).__name__}: {error}")


def _forward_all(connection: Connection, setup: DeviceSetup) -> None:
    import torch

    apply_execution_config(setup.execution_configs[0])
    on_gpu = setup.device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(setup.device)
        sleep_while_gpu_works(setup.device)
    rings = [SharedMemory.attach(each).array(shape) for each, shape in setup.rings]
    if on_gpu:
        for ring in rings:
            pin(ring)
    memory = SharedMemory.attach(setup.backbones)
    # the parent's own models, out of memory that nobody else has
    backbones: list[Backbone] = torch.load(
        io.BytesIO(memory.mapped[:]), map_location=setup.device, weights_only=False
    )
    forwards = [
        ForwardPass(backbone.on(setup.device), config)
        for backbone, config in zip(backbones, setup.execution_configs, strict=True)
    ]
    before: Launched | None = None
    with torch.inference_mode():
        while True:
            following: Launched | None = None
            if before is None or connection.poll():
                batch: Batch = connection.recv()
                pixels = rings[batch.ring][batch.place]
                following = forwards[batch.forward].launch(pixels, batch.place)
            if before is not None:
                connection.send(before.wait())
            before = following
