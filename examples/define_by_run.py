"""Choose among three models, each with parameters of its own, asked for while the objective runs.

    python examples/define_by_run.py --trials 20

There is no space beforehand: it grows by each parameter that a trial asks for. A trial reports its accuracy
after every fold of a cross-validation, so one that does badly ends before its last fold.
"""

from __future__ import annotations

import argparse

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

import tuneful as tn

FOLDS = 5


def model(trial: tn.Trial) -> ClassifierMixin:
    """The model that a trial is to try; only its own parameters are asked for."""
    kind = trial.suggest_categorical("model", ["svm", "forest", "neighbours"])
    if kind == "svm":
        kernel = trial.suggest_categorical("svm.kernel", ["rbf", "poly"])
        degree = trial.suggest_int("svm.degree", 2, 4) if kernel == "poly" else 3
        return SVC(
            C=trial.suggest_float("svm.C", 1e-2, 1e3, log=True),
            gamma=trial.suggest_float("svm.gamma", 1e-4, 1.0, log=True),
            kernel=kernel,
            degree=degree,
        )
    if kind == "forest":
        return RandomForestClassifier(
            trial.suggest_int("forest.trees", 10, 100, log=True),
            max_depth=trial.suggest_int("forest.depth", 2, 20),
            random_state=0,
        )
    return KNeighborsClassifier(
        trial.suggest_int("neighbours.k", 1, 30, log=True),
        weights=trial.suggest_categorical("neighbours.weights", ["uniform", "distance"]),
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--trials", type=int, default=20)
    given = options.parse_args()
    x, y = load_digits(return_X_y=True)
    x /= 16.0
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, y))

    def accuracy(trial: tn.Trial) -> float:
        classifier, scores = model(trial), []
        for step in trial.steps(FOLDS):
            rows, held_out = folds[step - 1]
            scores.append(classifier.fit(x[rows], y[rows]).score(x[held_out], y[held_out]))
            trial.report(np.mean(scores))
        return np.mean(scores)

    study = tn.Study(maximize="accuracy", prune=tn.pruners.Median(warmup=1), seed=0)
    study.run(accuracy, trials=given.trials)
    print(f"\n{study}\n\nthe space as it was found:")
    for path in study.space.paths:
        print(f"  {path:20} {study.space[path]}")


if __name__ == "__main__":
    main()
