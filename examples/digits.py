"""Tune a PyTorch classifier of handwritten digits; run it again to go on.

    python examples/digits.py                     scikit-learn's bundled digits, 8 x 8 pixels
    python examples/digits.py --mnist FOLDER      MNIST from a folder with its four idx files

Stop it at any time, with Ctrl-C or harder: no finished trial is lost, and the interrupted one goes on at its
epoch.
"""

from __future__ import annotations

import argparse
import gzip
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import tuneful as tn

TRIALS = 40
MORE = 20


def space(units: int, shrink: float) -> dict:
    """What may vary; the defaults are the network one would try first, and become trial 0."""
    return {
        "layers": tn.Int(1, 3, default=2),
        "units": tn.Int(32, 512, log=True, default=units),
        "shrink": tn.Choice([0.25, 0.5, 1.0], ordered=True, default=shrink),
        "dropout": tn.Float(0.0, 0.5, default=0.0),
        "batch_size": tn.Int(16, 256, log=True, step=2, default=64),
        "optimizer": tn.Switch(
            {
                "adam": {"lr": tn.Log(1e-4, 1e-1, default=1e-3)},
                "sgd": {"lr": tn.Log(1e-3, 1.0, default=1e-1), "momentum": tn.Float(0.0, 0.99, default=0.9)},
            },
            default="adam",
        ),
    }


def network(inputs: int, params: dict) -> nn.Sequential:
    """A classifier whose layers shrink by a factor: 784 inputs, 512 units and 0.25 make 784-512-128-10."""
    parts: list[nn.Module] = []
    for i in range(params["layers"]):
        units = max(10, round(params["units"] * params["shrink"] ** i))
        parts += [nn.Linear(inputs, units), nn.ReLU(), nn.Dropout(params["dropout"])]
        inputs = units
    return nn.Sequential(*parts, nn.Linear(inputs, 10))


def optimizer(model: nn.Module, choice: dict) -> torch.optim.Optimizer:
    """The chosen optimizer with the parameters that exist for it alone."""
    settings = {name: value for name, value in choice.items() if name != "name"}
    kinds = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    return kinds[choice["name"]](model.parameters(), **settings)


def objective(data: tuple[torch.Tensor, ...], epochs: int):
    """The function to tune: trains one network and reports each epoch."""
    x, y, x_valid, y_valid = data
    loss_of = nn.CrossEntropyLoss()

    def train(trial: tn.Trial) -> float:
        torch.manual_seed(trial.seed)
        model = network(x.shape[1], trial.params)
        steps = optimizer(model, trial.params["optimizer"])
        if (state := trial.load()) is not None:
            model.load_state_dict(state["model"])
            steps.load_state_dict(state["optimizer"])
        accuracy = 0.0
        for epoch in trial.steps(epochs):
            torch.manual_seed(trial.seed + epoch)  # the same epoch with and without a break before it
            model.train()
            total = 0.0
            for rows in torch.randperm(len(x)).split(trial.params["batch_size"]):
                steps.zero_grad()
                loss = loss_of(model(x[rows]), y[rows])
                loss.backward()
                steps.step()
                total += loss.item() * len(rows)
            model.eval()
            with torch.no_grad():
                scores = model(x_valid)
            accuracy = (scores.argmax(1) == y_valid).float().mean().item()
            trial.report(accuracy, val_loss=loss_of(scores, y_valid), train_loss=total / len(x))
            trial.save({"model": model.state_dict(), "optimizer": steps.state_dict()})
        return accuracy

    return train


def digits() -> tuple[torch.Tensor, ...]:
    """1,797 images of 64 pixels: (x, y) to train on, a fifth to validate on."""
    x, y = load_digits(return_X_y=True)
    return split(x / 16.0, y)


def mnist(folder: Path) -> tuple[torch.Tensor, ...]:
    """60,000 images of 784 pixels: (x, y) to train on, a fifth to validate on."""
    x = idx(folder, "train-images-idx3-ubyte").reshape(-1, 784) / 255.0
    return split(x, idx(folder, "train-labels-idx1-ubyte"))


def split(x: np.ndarray, y: np.ndarray) -> tuple[torch.Tensor, ...]:
    x, x_valid, y, y_valid = train_test_split(x, y, test_size=0.2, random_state=0, stratify=y)
    images = (torch.tensor(part, dtype=torch.float32) for part in (x, x_valid))
    labels = (torch.tensor(part, dtype=torch.int64) for part in (y, y_valid))
    (x, x_valid), (y, y_valid) = images, labels
    return x, y, x_valid, y_valid


def idx(folder: Path, name: str) -> np.ndarray:
    """The array in an idx file, zipped or not."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            shape = np.frombuffer(raw, ">i4", raw[3], offset=4)
            return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)
    raise SystemExit(f"There is no {name} or {name}.gz in {folder}.")


def show(study: tn.Study, inputs: int) -> None:
    """What came of it: baseline and best, what was chosen and what was learned."""
    best, baseline = study.best, study.baseline
    print(f"\nvalidation accuracy  baseline {baseline.value:.4f}", end="  ->  ")
    print(f"best {best.value:.4f} (trial {best.number})")
    print("\nchosen (hyperparameters)")
    for path, value in best.config.items():
        print(f"  {path:24}{value if not isinstance(value, float) else format(value, '.4g')}")
    print("\nlearned (parameters)")
    layers = [layer for layer in network(inputs, best.params) if isinstance(layer, nn.Linear)]
    for i, layer in enumerate(layers, 1):
        print(f"  layer {i}: {layer.weight.numel():>9,} weights + {layer.bias.numel():>4,} biases")
    print(f"  in all  {sum(p.numel() for layer in layers for p in layer.parameters()):>9,}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--mnist", type=Path, metavar="FOLDER", help="tune on MNIST, from its idx files")
    options.add_argument("--trials", type=int, help=f"how many in all ({TRIALS}, then {MORE} more a run)")
    options.add_argument("--epochs", type=int, default=20)
    options.add_argument("--study", help="the file to keep the study in (digits.db or mnist.db)")
    given = options.parse_args()
    data = mnist(given.mnist) if given.mnist else digits()
    study = tn.Study(
        space(512, 0.25) if given.mnist else space(64, 0.5),
        maximize="val_accuracy",
        prune=["diverged", "median"],
        study=given.study or ("mnist.db" if given.mnist else "digits.db"),
        seed=0,
    )
    started = study.history.started
    trials = given.trials or (TRIALS if started < TRIALS else started + MORE)
    study.run(objective(data, given.epochs), trials=trials)
    if study.status == "interrupted":
        return
    show(study, data[0].shape[1])
    print(f"\nsaved in {study.address}. To go on, run this again; to look at it:")
    print(f"  {sys.executable} -c 'import tuneful as tn; print(tn.open_study(\"{study.address}\"))'")


if __name__ == "__main__":
    main()
