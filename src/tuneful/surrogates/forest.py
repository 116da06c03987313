"""Extremely randomized trees for regression: many trees, grown together level by level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_ABSENT = -0.5  # where a number that does not exist lies: far enough below the others to be parted from them


@dataclass(frozen=True)
class Settings:
    """How trees grow.

    Attributes:
        trees: How many; more are smoother and slower.
        folds: Each row is left out of every so many-th tree; 0 for none.
        split: Nodes of fewer rows are leaves.
        tried: On how many columns a node tries to split (all, if there are no more).
    """

    trees: int = 30
    folds: int = 5
    split: int = 3
    tried: int = 12


DEFAULT = Settings()


@dataclass(frozen=True)
class Forest:
    """Trees and the data they have learned from. Build one with `grown`.

    Attributes:
        options: How many options each column has, 0 for numbers; (d,).
        nodes: The trees.
        home: In which leaf of each tree each row of the data lies, (trees, n).
        held: Which rows each tree has learned from, (trees, n).

    References:
        Geurts, Ernst and Wehenkel, "Extremely randomized trees", Machine Learning 2006.
        Hutter et al., "Algorithm runtime prediction: methods & evaluation", AIJ 2014, section 4.3 (the variance).
    """

    options: Sequence[int]
    nodes: Nodes
    home: Ints
    held: Flags

    def predict(self, x: Array) -> tuple[Array, Array]:
        """The mean (m,) and variance (m,) of the values at configs (m, d).

        The variance is, by the law of total variance, that between trees and that within their leaves.
        """
        leaves = self._leaves(x)
        return self._moments(leaves, np.full(leaves.shape, 1 / len(leaves)))

    def left_out(self) -> tuple[Array, Array]:
        """Mean and variance at each row of the data, (n,) each, by the trees that have not learned from it.

        NaN if there is no such tree.
        """
        without = ~self.held
        times = without.sum(axis=0)
        share = np.full(without.shape, np.nan)
        np.divide(without, times, out=share, where=times > 0)
        return self._moments(self.home, share)

    def weights(self, x: Array) -> Array:
        """How much each row of the data weighs in the means at configs (m, d): (m, n), each row sums to 1."""
        leaves = self._leaves(x)
        alike = (leaves[:, :, None] == self.home[:, None, :]) & self.held[:, None, :]
        weights: Array = (alike / alike.sum(axis=2, keepdims=True)).mean(axis=0)
        return weights

    def sharing(self, x: Array, rows: Ints) -> Array:
        """In which share of the trees configs (m, d) lie in a leaf with one of some rows of the data, (m,)."""
        taken = np.zeros(len(self.nodes.cut), dtype=bool)
        taken[self.home[:, rows]] = True
        return np.asarray(taken[self._leaves(x)].mean(axis=0))

    def _leaves(self, x: Array) -> Ints:
        choice = np.asarray(self.options, dtype=np.int64) > 0
        return self.nodes.leaves(_coded(x, self.options), choice, len(self.held))

    def _moments(self, leaves: Ints, share: Array) -> tuple[Array, Array]:
        """Mean and variance (m,) of a mixture of leaves (trees, m) with these shares (trees, m)."""
        means = self.nodes.mean[leaves]
        mean = np.einsum("tm,tm->m", share, means)
        spread = self.nodes.variance[leaves] + (means - mean) ** 2
        return mean, np.einsum("tm,tm->m", share, spread)


class Nodes(NamedTuple):
    """The nodes of all trees in one table; the first are the roots.

    Attributes:
        column: On which column each splits, (k,).
        cut: Where: what is below goes left, (k,). A leaf has inf.
        left: The left child, (k,); the right one follows it. A leaf has itself.
        salt: From which the order follows in which each puts the options of a choice before it cuts, (k,).
        mean, variance: Of the values in each, (k,).
    """

    column: Ints
    cut: Array
    left: Ints
    salt: Array
    mean: Array
    variance: Array

    def leaves(self, codes: Array, choice: Flags, trees: int) -> Ints:
        """Where coded configs (m, d) end up in each tree, (trees, m)."""
        m, d = codes.shape
        flat, mixed = codes.ravel(), choice.any()
        row = np.tile(np.arange(m) * d, trees)
        at = np.repeat(np.arange(trees), m)
        inner = np.isfinite(self.cut)
        going = np.flatnonzero(inner[at])
        while len(going):
            node = at.take(going)
            column = self.column.take(node)
            value = flat.take(row.take(going) + column)
            if mixed:
                value = np.where(choice.take(column), _shuffled(value, self.salt.take(node)), value)
            node = self.left.take(node) + (value >= self.cut.take(node))
            at[going] = node
            going = going[inner.take(node)]
        return at.reshape(trees, m)


def grown(x: Array, y: Array, options: Sequence[int], rng: np.random.Generator, settings: Settings = DEFAULT) -> Forest:
    """A forest that has learned from values at configs.

    Args:
        x: Configs, (n, d) in the unit cube; NaN where a parameter does not exist.
        y: Their values, (n,).
        options: How many options each column has if it is a choice, else 0; (d,).
        rng: Where the cuts come from.
        settings: How trees grow.
    """
    choice = np.asarray(options, dtype=np.int64) > 0
    codes = _coded(x, options)
    held = _held(len(x), rng, settings)
    nodes = _grown(codes, y, choice, held, rng, settings)
    return Forest(tuple(options), nodes, nodes.leaves(codes, choice, settings.trees), held)


def _coded(x: Array, options: Sequence[int]) -> Array:
    """Numbers as they are, options by position; what does not exist below all numbers, or as one more option."""
    count = np.asarray(options, dtype=np.float64)
    absent = np.where(count > 0, count, _ABSENT)
    place = np.where(count > 0, np.minimum(np.floor(x * count), count - 1), x)
    return np.where(np.isnan(x), absent, place)


def _held(n: int, rng: np.random.Generator, settings: Settings) -> Flags:
    """Which of `n` rows each tree learns from, (trees, n): each is left out equally often."""
    if not settings.folds or n < 2:
        return np.ones((settings.trees, n), dtype=bool)
    fold = np.arange(n) % settings.folds
    blocks = -(-settings.trees // settings.folds)
    folds = np.concatenate([(rng.permutation(fold) == np.arange(settings.folds)[:, None]) for _ in range(blocks)])
    return ~folds[: settings.trees]


def _grown(codes: Array, y: Array, choice: Flags, held: Flags, rng: np.random.Generator, settings: Settings) -> Nodes:
    """All trees, a level at a time: the rows of one node lie next to each other, node after node."""
    row, count = np.nonzero(held)[1], held.sum(axis=1)
    levels: list[Nodes] = []
    total = 0
    while len(count):
        mean = np.add.reduceat(y[row], _starts(count)) / count
        rest = y[row] - mean.repeat(count)
        variance = np.add.reduceat(rest * rest, _starts(count)) / count
        level = _leaves(mean, variance, total, rng)
        total += len(count)
        wide = (count >= settings.split) & (variance > 0)
        inside, count = wide.repeat(count), count[wide]
        row = row[inside]
        if len(count):
            split = _best_splits(codes, row, rest[inside], count, choice, level.salt[wide], rng, settings.tried)
            parted = np.flatnonzero(wide)[split.found]
            level.column[parted], level.cut[parted] = split.column[split.found], split.cut[split.found]
            level.left[parted] = total + 2 * np.arange(len(parted))
            row, count = _parted(row, count, split)
        levels.append(level)
    return Nodes(*map(np.concatenate, zip(*levels, strict=True)))


def _leaves(mean: Array, variance: Array, first: int, rng: np.random.Generator) -> Nodes:
    """Nodes (k,) that do not split, the first of them number `first`."""
    k = len(mean)
    here = np.arange(first, first + k)
    return Nodes(np.zeros(k, dtype=np.int64), np.full(k, np.inf), here, rng.random(k), mean, variance)


class _Splits(NamedTuple):
    """How nodes (k,) split: whether, on which column, where; and which of their rows go right."""

    found: Flags
    column: Ints
    cut: Array
    right: Flags


def _best_splits(
    codes: Array,
    row: Ints,
    rest: Array,
    count: Ints,
    choice: Flags,
    salt: Array,
    rng: np.random.Generator,
    tried: int,
) -> _Splits:
    """Of a random cut on each of a few columns, the one that explains most of the variance in a node.

    Args:
        codes: The data, (n, d).
        row: The rows of the nodes, (r,), node after node.
        rest: How far their values lie from the mean of the node, (r,).
        count: How many rows each node has, (k,).
        choice: Which columns are choices.
        salt: For the order of options, (k,).
        rng: Where columns and cuts come from.
        tried: How many columns.
    """
    k, d = len(count), codes.shape[1]
    node, start = np.repeat(np.arange(k), count), _starts(count)
    if d <= tried:
        column, value = np.tile(np.arange(d), (k, 1)), codes.take(row, axis=0)
    else:
        column = rng.integers(d, size=(k, tried))
        value = codes.ravel().take(row[:, None] * d + column.repeat(count, axis=0))
    if choice.any():
        value = np.where(choice[column].repeat(count, axis=0), _shuffled(value, salt.repeat(count)[:, None]), value)
    low, high = np.minimum.reduceat(value, start), np.maximum.reduceat(value, start)
    cut = low + (high - low) * (1 - rng.random(low.shape))
    right = value >= cut.repeat(count, axis=0)
    n_right = np.add.reduceat(right.astype(np.float64), start)
    sum_right = np.add.reduceat(right * rest[:, None], start)
    n_left = count[:, None] - n_right
    with np.errstate(invalid="ignore", divide="ignore"):
        # What the means of both sides explain; the sum on the left is minus that on the right.
        gain = np.where((n_right > 0) & (n_left > 0), sum_right**2 * (1 / n_right + 1 / n_left), -1.0)
    best = np.argmax(gain, axis=1)
    each = np.arange(k)
    return _Splits(gain[each, best] >= 0, column[each, best], cut[each, best], right[np.arange(len(row)), best[node]])


def _shuffled(option: Array, salt: Array) -> Array:
    """Numbers in [0, 1) for the positions of options, in another order for each salt: a cut parts a random subset."""
    spread = (option + 1.0) ** 2 * 7919.0 * salt  # so steep that the fractions of two options are independent
    return spread - np.floor(spread)


def _parted(row: Ints, count: Ints, split: _Splits) -> tuple[Ints, Ints]:
    """The rows and counts of the next level: of each node that split, its left and then its right child."""
    node = np.repeat(np.arange(len(count)), count)
    goes_on = split.found[node]
    child = 2 * (np.cumsum(split.found) - 1)[node[goes_on]] + split.right[goes_on]
    order = np.argsort(child.astype(np.int16) if len(child) < 2**14 else child, kind="stable")
    return row[goes_on][order], np.bincount(child, minlength=0)


def _starts(count: Ints) -> Ints:
    """Where each of so many rows begins, (k,)."""
    return np.cumsum(count) - count
