"""What checks look at: settings, files, the machine, and the node if it runs.

Owns: reading each of them once.  Refuses: to change anything; checks that mend say so.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from node import config as configuration
from node.cli.client import Client
from node.config import Config
from node.doctor.machine import Machine
from node.errors import ChartsealError
from node.ledger.genesis import Genesis, GenesisInvalid
from storage.aside import Aside
from storage.errors import StorageError
from storage.store import Store


@dataclass(slots=True)
class Scene:
    """``why``: the running node's own diagnosis, None when it is down."""

    config_path: Path
    config: Config | None = None
    config_error: ChartsealError | None = None
    genesis: Genesis | None = None
    why: dict[str, Any] | None = None
    down: str = ""  # what its port said instead
    store: Store | None = None
    store_error: StorageError | None = None
    machine: Machine = field(default_factory=Machine)
    scratch_dir: Path | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def of(
        cls,
        config_path: Path,
        *,
        offline: bool = False,
        machine: Machine | None = None,
        scratch_dir: Path | None = None,
    ) -> "Scene":
        """Read what there is; ``offline``: do not ask the node, even if it runs."""
        scene = cls(config_path, machine=machine or Machine(), scratch_dir=scratch_dir)
        try:
            scene.config = configuration.load(config_path)
        except ChartsealError as error:
            scene.config_error = error
            return scene
        try:
            scene.genesis = Genesis.decode(scene.config.network.genesis.read_bytes())
        except (OSError, GenesisInvalid):
            scene.genesis = None
        if not offline:
            scene._ask()
        if scene.why is None and scene.genesis is not None:
            scene._open(scene.config.node.data_dir, scene.genesis)
        return scene

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def running(self) -> bool:
        return self.why is not None

    @property
    def settings(self) -> Config:
        """The settings; checks that need them are only made when there are any."""
        assert self.config is not None, "asked without settings"
        return self.config

    def causes(self, *ids: str) -> list[dict[str, Any]]:
        """Return the causes of the running node with one of ``ids``."""
        found = [] if self.why is None else self.why.get("causes", [])
        return [item for item in found if item.get("id") in ids]

    def _ask(self) -> None:
        try:
            answer = Client(f"http://{self.settings.ops.listen}", timeout_s=4.0).get("/v1/why")
        except ChartsealError as error:
            self.down = error.detail or error.code
            return
        if isinstance(answer, dict) and "causes" in answer:
            self.why = answer
        else:
            self.down = "something else answers on ops.listen"

    def _open(self, data_dir: Path, genesis: Genesis) -> None:
        """Open a copy of the ledger; damage is what a check will speak of."""
        try:
            aside = self._stack.enter_context(Aside(data_dir, scratch_dir=self.scratch_dir))
            self.store = self._stack.enter_context(aside.store(genesis.network))
        except StorageError as error:
            self.store_error = error
