"""Tune two hidden layers, their dropout and a learning rate on handwritten digits: one of 9,600 networks.

    python examples/keras_notes_space.py --trials 12

The same space as `hp.Int("hidden1", 32, 512, step=32)` and so on in Keras Tuner, with a network in PyTorch.
The output layer is fixed, ten units for ten digits, so it is not in the space.
"""

from __future__ import annotations

import argparse

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import tuneful as tn

SPACE = tn.Space(
    {
        "hidden1": tn.Int(32, 512, step=32),
        "dropout1": tn.Float(0.1, 0.5, step=0.1),
        "hidden2": tn.Int(16, 128, step=16),
        "dropout2": tn.Float(0.1, 0.5, step=0.1),
        "learning_rate": [1e-4, 1e-3, 1e-2],
    }
)


def build(params: dict) -> nn.Sequential:
    """The network of a setting."""
    return nn.Sequential(
        *(nn.Linear(64, params["hidden1"]), nn.ReLU(), nn.Dropout(params["dropout1"])),
        *(nn.Linear(params["hidden1"], params["hidden2"]), nn.ReLU(), nn.Dropout(params["dropout2"])),
        nn.Linear(params["hidden2"], 10),
    )


def objective(epochs: int):
    """The function to tune: trains one network, and reports its validation accuracy after each epoch."""
    x, y = load_digits(return_X_y=True)
    x, x_valid, y, y_valid = train_test_split(x / 16.0, y, test_size=0.2, random_state=0, stratify=y)
    x, x_valid = torch.tensor(x, dtype=torch.float32), torch.tensor(x_valid, dtype=torch.float32)
    y, y_valid = torch.tensor(y), torch.tensor(y_valid)

    def train(trial: tn.Trial) -> None:
        torch.manual_seed(trial.seed)
        model = build(trial.params)
        adam = torch.optim.Adam(model.parameters(), lr=trial.params["learning_rate"])
        for _ in trial.steps(epochs):
            model.train()
            for rows in torch.randperm(len(x)).split(32):
                adam.zero_grad()
                nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
                adam.step()
            model.eval()
            with torch.no_grad():
                accuracy = (model(x_valid).argmax(1) == y_valid).float().mean()
            trial.report(accuracy)

    return train


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--trials", type=int, default=12)
    options.add_argument("--epochs", type=int, default=15)
    given = options.parse_args()
    print(f"{SPACE.size:,} networks; this tries {given.trials}")
    study = tn.Study(SPACE, maximize="val_accuracy", prune=["diverged", "median"], seed=0)
    study.run(objective(given.epochs), trials=given.trials)
    print(f"\n{study}")


if __name__ == "__main__":
    main()
