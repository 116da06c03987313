"""Other libraries as contestants, where they are installed: their defaults, and conditions where they know them."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, NamedTuple

import peers_conditional as conditional
import peers_flat as flat
from contestants import Contestant


class _Peer(NamedTuple):
    start: Callable[..., Any]
    package: str  # as it is installed
    imports: tuple[str, ...]


_PEERS = {
    "optuna-tpe": _Peer(conditional.optuna("TPESampler"), "optuna", ("optuna",)),
    "optuna-gp": _Peer(conditional.optuna("GPSampler"), "optuna", ("optuna", "torch")),
    "optuna-cmaes": _Peer(conditional.optuna("CmaEsSampler"), "optuna", ("optuna", "cmaes")),
    "rustuna-tpe": _Peer(conditional.Rustuna, "rustuna", ("rustuna",)),
    "hyperopt-tpe": _Peer(conditional.Hyperopt, "hyperopt", ("hyperopt",)),
    "smac": _Peer(conditional.Smac, "smac", ("smac",)),
    "skopt-gp": _Peer(flat.skopt("GP"), "scikit-optimize", ("skopt",)),
    "skopt-forest": _Peer(flat.skopt("ET"), "scikit-optimize", ("skopt",)),
    "nevergrad": _Peer(flat.Nevergrad, "nevergrad", ("nevergrad",)),
    "hebo": _Peer(flat.Hebo, "HEBO", ("hebo.optimizers.hebo",)),
    "ax": _Peer(flat.Ax, "ax-platform", ("ax.api.client",)),
}
NAMES = tuple(_PEERS)


def installed() -> dict[str, Contestant]:
    """The peers that can run here."""
    return {name: _contestant(name, peer) for name, peer in _PEERS.items() if _there(peer)}


def quiet() -> None:
    """Let no library warn or log while it runs."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)


def load(modules: Iterable[str]) -> None:
    """Import modules, once for all the processes that will be forked.

    Raises:
        SystemExit: one is there and cannot be imported.
    """
    for name in dict.fromkeys(modules):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise SystemExit(f"{name} cannot be imported ({error}). Name other peers with --peers.") from None


def _there(peer: _Peer) -> bool:
    return all(find_spec(name.partition(".")[0]) is not None for name in peer.imports)


def _contestant(name: str, peer: _Peer) -> Contestant:
    try:
        code = f"{peer.package} {version(peer.package)}"
    except PackageNotFoundError:
        code = peer.package
    return Contestant(name, peer.start, code, peer.imports)
