"""Small trainings on the data that scikit-learn brings, cross-validated in tens of ms; folds and seeds are fixed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

import tuneful as tn
from problems.problem import Params, Problem, exact

Array = NDArray[np.float64]
Build = Callable[[Params], BaseEstimator]

_WORST = 3.0  # a loss, where a training ran away


def _kernel_ridge(params: Params) -> BaseEstimator:
    kernel = dict(params["kernel"])
    return KernelRidge(alpha=params["alpha"], kernel=kernel.pop("name"), **kernel)


def _svm(params: Params) -> BaseEstimator:
    kernel = dict(params["kernel"])
    return SVC(C=params["C"], kernel=kernel.pop("name"), **kernel, max_iter=2000)


def _boosting(params: Params) -> BaseEstimator:
    return GradientBoostingRegressor(random_state=0, **params)


def _network(params: Params) -> BaseEstimator:
    sizes = tuple(layer["units"] for layer in params["layers"])
    rest = {name: value for name, value in params.items() if name != "layers"}
    return MLPClassifier(sizes, max_iter=12, batch_size=32, random_state=0, **rest)


def _neighbours(params: Params) -> BaseEstimator:
    rest = {name: value for name, value in params.items() if name != "components"}
    return make_pipeline(PCA(params["components"], random_state=0), KNeighborsClassifier(algorithm="brute", **rest))


def _linear(params: Params) -> BaseEstimator:
    penalty, schedule = dict(params["penalty"]), dict(params["schedule"])
    settings = {"penalty": penalty.pop("name"), "learning_rate": schedule.pop("name"), **penalty, **schedule}
    return SGDClassifier(loss="log_loss", alpha=params["alpha"], max_iter=15, tol=None, random_state=0, **settings)


_GAMMA = tn.Log(1e-5, 10)
KERNEL_RIDGE = {
    "alpha": tn.Log(1e-5, 1e3),
    "kernel": tn.Switch(
        {
            "linear": {},
            "rbf": {"gamma": _GAMMA},
            "laplacian": {"gamma": _GAMMA},
            "poly": {"gamma": _GAMMA, "degree": tn.Int(2, 4), "coef0": tn.Float(0, 3)},
        }
    ),
}
SVM = {
    "C": tn.Log(1e-3, 1e3),
    "kernel": tn.Switch(
        {
            "linear": {},
            "rbf": {"gamma": _GAMMA},
            "poly": {"gamma": _GAMMA, "degree": tn.Int(2, 5), "coef0": tn.Float(0, 3)},
            "sigmoid": {"gamma": _GAMMA, "coef0": tn.Float(-2, 2)},
        }
    ),
}
BOOSTING = {
    "n_estimators": tn.Int(5, 40),
    "learning_rate": tn.Log(1e-3, 1),
    "max_depth": tn.Int(1, 6),
    "subsample": tn.Float(0.3, 1),
    "max_features": tn.Float(0.1, 1),
    "min_samples_leaf": tn.Int(1, 60, log=True),
    "loss": ["squared_error", "huber"],
}
NETWORK = {
    "layers": tn.Repeat(1, 3, {"units": tn.Int(4, 64, log=True)}),
    "activation": ["relu", "tanh", "logistic"],
    "learning_rate_init": tn.Log(1e-4, 1),
    "alpha": tn.Log(1e-6, 10),
    "beta_1": tn.Float(0.5, 0.99),
}
NEIGHBOURS = {
    "components": tn.Int(2, 40, log=True),
    "n_neighbors": tn.Int(1, 50, log=True),
    "weights": ["uniform", "distance"],
    "metric": ["euclidean", "manhattan", "cosine", "chebyshev"],
}
_FIRST_RATE = tn.Log(1e-4, 10)
LINEAR = {
    "alpha": tn.Log(1e-6, 1),
    "penalty": tn.Switch({"l1": {}, "l2": {}, "elasticnet": {"l1_ratio": tn.Float(0, 1)}}),
    "schedule": tn.Switch(
        {
            "optimal": {},
            "constant": {"eta0": _FIRST_RATE},
            "invscaling": {"eta0": _FIRST_RATE, "power_t": tn.Float(0.1, 1)},
            "adaptive": {"eta0": _FIRST_RATE},
        }
    ),
}


def problems() -> list[Problem]:
    return [
        _of("ridge-diabetes", KERNEL_RIDGE, _kernel_ridge, "diabetes", "squares"),
        _of("svm-digits", SVM, _svm, "digits", "errors"),
        _of("boosting-diabetes", BOOSTING, _boosting, "diabetes", "squares"),
        _of("mlp-wine", NETWORK, _network, "wine", "nll"),
        _of("knn-digits", NEIGHBOURS, _neighbours, "digits", "errors"),
        _of("sgd-cancer", LINEAR, _linear, "breast_cancer", "nll"),
    ]


def _of(name: str, spec: dict[str, Any], build: Build, data: str, score: str) -> Problem:
    def loss(params: Params) -> float:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            each = [_loss(build(params), *fold, score) for fold in _folds(data)]
        mean = float(np.mean(each))
        return min(mean, _WORST) if np.isfinite(mean) else _WORST

    return Problem(name, "training", tn.Space(spec), exact(loss))


def _loss(model: Any, x: Array, y: Array, x_test: Array, y_test: Array, score: str) -> float:
    model.fit(x, y)
    if score == "nll":
        shares = np.clip(model.predict_proba(x_test)[np.arange(len(y_test)), y_test.astype(int)], 1e-6, 1)
        return float(-np.log(shares).mean())
    found = model.predict(x_test)
    return float(np.mean(found != y_test) if score == "errors" else np.mean((found - y_test) ** 2))


@cache
def _folds(data: str) -> list[tuple[Array, Array, Array, Array]]:
    """Three folds of scaled data: x, y and those to test on."""
    x, y = getattr(datasets, f"load_{data}")(return_X_y=True)
    x, y = (x[::4], y[::4]) if data == "digits" else (x, y)
    x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9)
    if data == "diabetes":
        y = (y - y.mean()) / y.std()
    split = KFold if data == "diabetes" else StratifiedKFold
    return [(x[a], y[a], x[b], y[b]) for a, b in split(3, shuffle=True, random_state=0).split(x, y)]
