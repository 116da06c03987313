"""Spaces with a shape: options whose effects interact, conditions two levels deep, layers, failures, a grid."""

from __future__ import annotations

from itertools import combinations
from math import log2, log10

import numpy as np

import tuneful as tn
from problems.problem import Params, Problem, exact

_DRAWN = np.random.default_rng(20)
_ENCODERS, _LOSSES, _POOLS = ("conv", "gru", "attention", "mlp"), ("l1", "l2", "huber"), ("max", "mean", "last")
_EFFECT = _DRAWN.uniform(0, 0.4, (4, 3))  # of an encoder with a loss
_POOL_EFFECT = _DRAWN.uniform(0, 0.2, (4, 3))  # of an encoder with a pool
_BEST_RATE, _BEST_WIDTH = (-2.5, -1.5, -3.0, -2.0), (5, 6, 8)
MIXED = {
    "encoder": list(_ENCODERS),
    "loss": list(_LOSSES),
    "pool": list(_POOLS),
    "rate": tn.Log(1e-4, 1),
    "width": tn.Int(8, 512, log=True),
    "dropout": tn.Float(0, 0.8),
}
_MIXED_OPTIMUM = float((_EFFECT[:, :, None] + _POOL_EFFECT[:, None, :]).min())


def mixed(params: Params) -> float:
    """Which numbers are best depends on the options, and which option on the other options."""
    encoder, loss = _ENCODERS.index(params["encoder"]), _LOSSES.index(params["loss"])
    pool = _POOLS.index(params["pool"])
    away = 0.08 * (log10(params["rate"]) - _BEST_RATE[encoder]) ** 2
    away += 0.01 * (log2(params["width"]) - _BEST_WIDTH[loss]) ** 2 + 0.3 * (params["dropout"] - 0.1 - 0.2 * pool) ** 2
    return float(_EFFECT[encoder, loss] + _POOL_EFFECT[encoder, pool] + away)


_PAIRS = list(combinations(range(6), 2))
_PAIR_EFFECT = _DRAWN.uniform(0, 1, (len(_PAIRS), 5, 5))
CATEGORIES = {f"c{i}": ["a", "b", "c", "d", "e"] for i in range(6)}


def categories(params: Params) -> float:
    """Six choices of five options; each pair has an effect of its own."""
    at = ["abcde".index(params[f"c{i}"]) for i in range(6)]
    return float(np.mean([_PAIR_EFFECT[k, at[i], at[j]] for k, (i, j) in enumerate(_PAIRS)]))


_STRENGTH = tn.Log(1e-4, 1e4)
NESTED = {
    "scale": ["none", "standard", "rank"],
    "model": tn.Switch(
        {
            "linear": {
                "penalty": tn.Switch(
                    {"l1": {"c": _STRENGTH}, "l2": {"c": _STRENGTH}, "both": {"c": _STRENGTH, "ratio": tn.Float(0, 1)}}
                )
            },
            "tree": {
                "depth": tn.Int(1, 20),
                "boost": tn.Switch({"none": {}, "ada": {"rounds": tn.Int(10, 500, log=True), "rate": tn.Log(1e-3, 1)}}),
            },
            "net": {
                "layers": tn.Int(1, 6),
                "optimizer": tn.Switch(
                    {
                        "sgd": {"rate": tn.Log(1e-4, 1), "momentum": tn.Float(0, 0.99)},
                        "adam": {"rate": tn.Log(1e-6, 0.1)},
                    }
                ),
            },
        }
    ),
}


def nested(params: Params) -> float:
    """A choice of models, each with a choice in it; the best model is the worst at random."""
    model, scale = params["model"], {"none": 0.1, "standard": 0.0, "rank": 0.03}[params["scale"]]
    if model["name"] == "linear":
        penalty = model["penalty"]
        base = {"l1": 0.22, "l2": 0.2, "both": 0.18}[penalty["name"]]
        return base + scale + 0.01 * (log10(penalty["c"]) - 1) ** 2 + 0.1 * (penalty.get("ratio", 0.3) - 0.3) ** 2
    if model["name"] == "tree":
        boost = model["boost"]
        if boost["name"] == "none":
            return 0.25 + 0.002 * (model["depth"] - 8) ** 2
        steps = log10(boost["rounds"] * boost["rate"])  # many small steps are as good as few large ones
        return 0.11 + 0.002 * (model["depth"] - 4) ** 2 + 0.05 * (steps - 1) ** 2
    return 0.05 + 1.5 * scale + 0.01 * (model["layers"] - 3) ** 2 + _optimized(model["optimizer"])


def _optimized(optimizer: Params) -> float:
    rate = log10(optimizer["rate"])
    if optimizer["name"] == "adam":
        return 0.02 + 0.08 * (rate + 3) ** 2
    return 0.06 * (rate - log10(1 - optimizer["momentum"]) + 1) ** 2 + 0.1 * (optimizer["momentum"] - 0.9) ** 2


LAYERS = {
    "layers": tn.Repeat(1, 5, {"units": tn.Int(8, 512, log=True), "dropout": tn.Float(0, 0.6)}),
    "rate": tn.Log(1e-5, 1e-1),
}


def layers(params: Params) -> float:
    """A stack that is best three deep and narrowing, with more dropout higher up."""
    each = [
        0.02 * (log2(layer["units"]) - (8 - i)) ** 2 + 0.3 * (layer["dropout"] - 0.1 * i) ** 2
        for i, layer in enumerate(params["layers"])
    ]
    n = len(each)
    return float(0.05 + 0.03 * (n - 3) ** 2 + np.mean(each) + 0.03 * (log10(params["rate"]) + 3 - 0.2 * (n - 3)) ** 2)


HALF = {f"x{i}": tn.Float(0, 1) for i in range(5)}
_HALF_OPTIMUM = np.array([0.3, 0.4, 0.8, 0.25, 0.6])


def half_fails(params: Params) -> float:
    """Every config beyond a diagonal fails, which is half of them; the optimum keeps clear of it."""
    x = np.array([params[f"x{i}"] for i in range(5)])
    if x[0] + x[1] > 1:
        raise FloatingPointError("the loss is not finite")
    return float(((x - _HALF_OPTIMUM) ** 2).sum())


MEMORY = {
    "batch": tn.Int(8, 1024, log=True),
    "width": tn.Int(16, 2048, log=True),
    "depth": tn.Int(1, 8),
    "rate": tn.Log(1e-5, 1e-1),
}


def memory_fails(params: Params) -> float:
    """Larger is better until memory is full: the optimum lies at the border of what fails."""
    if params["batch"] * params["width"] * params["depth"] > 150_000:
        raise MemoryError("out of memory")
    size = 0.5 / log2(params["width"]) + 0.05 / params["depth"]
    return size + 0.01 * (log2(params["batch"]) - 6) ** 2 + 0.05 * (log10(params["rate"]) + 2.5) ** 2


GRID = {"depth": tn.Int(1, 5), "width": tn.Int(1, 5), "kernel": ["linear", "poly", "rbf", "sigmoid", "cosine"]}
_KERNEL = {"linear": 1.0, "poly": 0.4, "rbf": 0.0, "sigmoid": 1.6, "cosine": 0.7}


def grid(params: Params) -> float:
    """125 configs and no more."""
    away = params["depth"] + params["width"] - 6
    return 0.3 * away**2 + 0.2 * abs(params["depth"] - 4) + _KERNEL[params["kernel"]]


def problems() -> list[Problem]:
    return [
        Problem("mixed6", "structured", tn.Space(MIXED), exact(mixed), optimum=_MIXED_OPTIMUM),
        Problem("categories6", "structured", tn.Space(CATEGORIES), exact(categories)),
        Problem("nested-switch", "structured", tn.Space(NESTED), exact(nested), optimum=0.05),
        Problem("layers-repeat", "structured", tn.Space(LAYERS), exact(layers), optimum=0.05),
        Problem("half-fails", "structured", tn.Space(HALF), exact(half_fails), optimum=0.0),
        Problem("memory-fails", "structured", tn.Space(MEMORY), exact(memory_fails)),
        Problem("grid125", "structured", tn.Space(GRID), exact(grid), optimum=0.0),
    ]
