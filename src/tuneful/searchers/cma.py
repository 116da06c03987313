"""The distribution of CMA-ES, for numbers, stepped numbers and options, and how it learns: arrays in, arrays out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

_EPS = 1e-12
_SIGNAL = 1.5  # how much clearer than noise a step in the options must be to lengthen the next (ASNG's alpha)
_STAYS = 0.73  # the chance that a draw has the likeliest option everywhere, at most


@dataclass(frozen=True)
class Cma:
    """A normal distribution of `d` numbers, and one of options for each of `c` choices; both learn from ranks alone.

    Attributes:
        population: How many configs it learns from at a time.
        mean: The centre, (d,).
        sigma: The step size.
        covariance: The shape, (d, d).
        stretch: By how much stepped numbers are spread out so that they do not freeze, (d,).
        share: How likely each option of a choice is, (c, options); 0 beyond its last.
        size_path, shape_path: The evolution paths of step size and shape, (d,).
        option_path: That of the shares, (c, options); `clarity` is what its length would be by chance, and
            `caution` the inverse of the step that the shares take.
        generation: How often it has learned.

    References:
        Hansen, "The CMA evolution strategy: a tutorial", 2016. Equation numbers are this one's, if nothing is said.
        Hansen, "Injecting external solutions into CMA-ES", 2011.
        Hamano et al., "CMA-ES with margin: lower-bounding marginal probability for mixed-integer black-box
        optimization", GECCO 2022.
        Hamano et al., "CatCMA: stochastic optimization for mixed-category problems", GECCO 2024.
        Akimoto et al., "Adaptive stochastic natural gradient method for one-shot neural architecture search",
        ICML 2019 (ASNG).
    """

    population: int
    mean: Array
    sigma: float
    covariance: Array
    stretch: Array
    share: Array
    size_path: Array
    shape_path: Array
    option_path: Array
    clarity: float = 0.0
    caution: float = 1.0
    generation: int = 0

    @classmethod
    def around(cls, mean: Array, sigma: float, options: Ints, population: int) -> Cma:
        """A round distribution, with all options equally likely.

        Args:
            mean: Its centre, (d,).
            sigma: Its standard deviation.
            options: How many options each choice has, (c,).
            population: How many configs it will learn from at a time.
        """
        d, among = len(mean), np.arange(max(options, default=0)) < options[:, None]
        zero = np.zeros(d)
        share = among / options[:, None]
        return cls(population, mean, sigma, np.eye(d), np.ones(d), share, zero, zero, np.zeros(share.shape))

    def of_population(self, population: int) -> Cma:
        """The same, to learn from another number of configs at a time."""
        return self if population == self.population else replace(self, population=population)

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Array, Ints]:
        """`n` draws: numbers (n, d) and the positions of options (n, c)."""
        axes, lengths = self._axes
        numbers = self.mean + self.sigma * self.stretch * (rng.standard_normal((n, len(self.mean))) * lengths @ axes.T)
        below = np.cumsum(self.share, axis=1)
        return numbers, np.sum(rng.random((n, len(below), 1)) * below[:, -1:] >= below[:, :-1], axis=2)

    def within(self, low: Array, high: Array, rng: np.random.Generator) -> Array:
        """For each interval a draw from that part of the distribution, (n, d); the others' draws are not looked at.

        What is drawn as a number is tried as the value whose cell it lies in; this gives the number back. Where
        `low` equals `high` (both (n, d)), it is that.
        """
        spread = self.spread
        below, above = ndtr((low - self.mean) / spread), ndtr((high - self.mean) / spread)
        z = np.clip(ndtri(below + (above - below) * rng.random(low.shape)), -8.0, 8.0)
        return np.asarray(np.clip(self.mean + spread * z, low, high))

    @property
    def spread(self) -> Array:
        """The standard deviation of each number, (d,)."""
        return self.sigma * self.stretch * np.sqrt(np.diag(self.covariance))

    def learned(self, numbers: Array, options: Ints) -> Cma:
        """What it becomes after a generation.

        Args:
            numbers: The configs, the best first, (population, d).
            options: Positions of options, (population, c); -1 where a choice does not exist.
        """
        return self._learned_numbers(numbers)._learned_options(options)  # noqa: SLF001 - one of us

    @property
    def is_spent(self) -> bool:
        """Whether it has shrunk to a point or a line."""
        lengths = self._axes[1]
        if not len(lengths):
            return False
        return bool(self.sigma * lengths.max() < 1e-9 or lengths.max() > 1e7 * lengths.min())

    @cached_property
    def _axes(self) -> tuple[Array, Array]:
        """The principal axes of the shape, as columns, and their lengths."""
        values, axes = np.linalg.eigh(self.covariance)
        return axes, np.sqrt(np.maximum(values, 1e-30))

    @cached_property
    def _rates(self) -> _Rates:
        return _Rates.of(self.population, len(self.mean))

    def _learned_numbers(self, numbers: Array) -> Cma:
        d, rates, (axes, lengths) = len(self.mean), self._rates, self._axes
        if not d:
            return replace(self, generation=self.generation + 1)
        w, mu_eff = rates.weights, rates.mu_eff
        step = (numbers - self.mean) / (self.sigma * self.stretch)
        white = step @ axes / lengths
        # Whatever others propose moves it no further than its own draws would: eqs. 3 and 4 of "Injecting".
        length = np.sqrt((white**2).sum(axis=1))
        short = np.minimum(1.0, (math.sqrt(d) + 2 * d / (d + 2)) / np.maximum(length, _EPS))[:, None]
        step, white, length = step * short, white * short, length * short[:, 0]
        positive = np.maximum(w, 0.0)
        moved = positive @ step
        mean = self.mean + self.sigma * self.stretch * moved  # eqs. 41, 42
        size_path = (1 - rates.c_sigma) * self.size_path  # eq. 43
        size_path = size_path + math.sqrt(rates.c_sigma * (2 - rates.c_sigma) * mu_eff) * (axes @ (positive @ white))
        longer = float(np.linalg.norm(size_path)) / rates.chi
        sigma = self.sigma * math.exp(min(1.0, rates.c_sigma / rates.d_sigma * (longer - 1)))  # eq. 44
        settled = math.sqrt(1 - (1 - rates.c_sigma) ** (2 * (self.generation + 1)))
        straight = float(longer / settled < 1.4 + 2 / (d + 1))
        shape_path = (1 - rates.c_c) * self.shape_path  # eq. 45
        shape_path = shape_path + straight * math.sqrt(rates.c_c * (2 - rates.c_c) * mu_eff) * moved
        scaled = np.where(w >= 0, w, w * d / np.maximum(length**2, _EPS))  # eq. 46
        kept = 1 + rates.c_1 * (1 - straight) * rates.c_c * (2 - rates.c_c) - rates.c_1 - rates.c_mu * w.sum()
        covariance = (  # eq. 47
            kept * self.covariance
            + rates.c_1 * np.outer(shape_path, shape_path)
            + rates.c_mu * (step.T * scaled) @ step
        )
        return replace(
            self,
            mean=mean,
            sigma=min(sigma, 1e3),
            covariance=(covariance + covariance.T) / 2,
            size_path=size_path,
            shape_path=shape_path,
            generation=self.generation + 1,
        )

    def _learned_options(self, options: Ints) -> Cma:
        """A step along the natural gradient of the shares, as long as the last steps agreed (ASNG)."""
        freedom = int(np.maximum((self.share > 0).sum(axis=1) - 1, 0).sum())
        if not freedom:
            return self
        w = np.maximum(self._rates.weights, 0.0)
        chosen = options[:, :, None] == np.arange(self.share.shape[1])
        here = np.where(options[:, :, None] < 0, 0.0, chosen - self.share)
        slope = np.einsum("i,ick->ck", w, here)
        root = slope / np.sqrt(np.maximum(self.share, _EPS))  # its length is that of the slope in Fisher's metric
        length = max(float(np.linalg.norm(root)), _EPS)
        step = 1 / self.caution
        beta = step / math.sqrt(freedom)
        path = (1 - beta) * self.option_path + math.sqrt(beta * (2 - beta)) * root / length
        clarity = (1 - beta) ** 2 * self.clarity + beta * (2 - beta)
        caution = self.caution * math.exp(beta * (clarity - float((path**2).sum()) / _SIGNAL))
        share = self._kept_open(self.share + step / length * slope)
        return replace(self, share=share, option_path=path, clarity=clarity, caution=max(caution, 1.0))

    def _kept_open(self, share: Array) -> Array:
        """Shares in which no option is so rare that it is never drawn again: the margin of CatCMA, section 4.2."""
        among = self.share > 0
        count = among.sum(axis=1, keepdims=True)
        least = np.where(among, (1 - _STAYS ** (1 / len(share))) / np.maximum(count - 1, 1), 0.0)
        least = np.minimum(least, among / np.maximum(count, 1))
        share = np.where(among, np.maximum(share, least), 0.0)
        over = share - least
        left = 1 - least.sum(axis=1, keepdims=True)
        return np.asarray(least + over * left / np.maximum(over.sum(axis=1, keepdims=True), _EPS))

    def with_margin(self, low: Array, high: Array) -> Cma:
        """The same, where each stepped number leaves the value that the mean has often enough.

        Args:
            low: Where the cell of that value begins, (d,); -inf for the first.
            high: Where it ends, (d,); inf for the last. As `low` for numbers without steps.

        Source: Hamano et al. 2022, section 4.
        """
        stepped = low < high
        if not stepped.any():
            return self
        alpha = 1 / (len(self.mean) * self.population)
        spread = self.spread
        one_sided = stepped & (np.isinf(low) | np.isinf(high))
        two_sided = stepped & ~one_sided
        mean, stretch = self.mean.copy(), self.stretch.copy()
        border = np.where(np.isinf(low), high, low)[one_sided]
        off = mean[one_sided] - border
        furthest = -ndtri(alpha) * spread[one_sided]
        mean[one_sided] = border + np.sign(off) * np.minimum(np.abs(off), furthest)
        a, b = low[two_sided], high[two_sided]
        down = ndtr((a - mean[two_sided]) / spread[two_sided])
        up = ndtr((mean[two_sided] - b) / spread[two_sided])
        stay = 1 - down - up
        down, up = np.maximum(down, alpha / 2), np.maximum(up, alpha / 2)
        excess = (1 - down - up - stay) / (down + up + stay - 1.5 * alpha)
        down, up = down + excess * (down - alpha / 2), up + excess * (up - alpha / 2)
        below, above = -ndtri(np.minimum(down, 0.5 - _EPS)), -ndtri(np.minimum(up, 0.5 - _EPS))
        mean[two_sided] = (a * above + b * below) / (below + above)
        stretch[two_sided] *= (b - a) / ((below + above) * spread[two_sided])
        return replace(self, mean=mean, stretch=stretch)


@dataclass(frozen=True)
class _Rates:
    """How much of what is new counts: table 1 of the tutorial."""

    weights: Array
    mu_eff: float
    c_sigma: float
    d_sigma: float
    c_c: float
    c_1: float
    c_mu: float
    chi: float

    @classmethod
    def of(cls, population: int, d: int) -> _Rates:
        d = max(d, 1)
        raw = math.log((population + 1) / 2) - np.log(np.arange(1, population + 1))  # eq. 49
        good, bad = np.maximum(raw, 0.0), np.maximum(-raw, 0.0)
        mu_eff = float(good.sum() ** 2 / (good**2).sum())
        c_sigma = (mu_eff + 2) / (d + mu_eff + 5)  # eq. 55
        c_c = (4 + mu_eff / d) / (d + 4 + 2 * mu_eff / d)  # eq. 56
        c_1 = 2 / ((d + 1.3) ** 2 + mu_eff)  # eq. 57
        c_mu = min(1 - c_1, 2 * (mu_eff - 2 + 1 / mu_eff) / ((d + 2) ** 2 + mu_eff))  # eq. 58
        mu_bad = float(bad.sum() ** 2 / (bad**2).sum())
        least = min(1 + c_1 / c_mu, 1 + 2 * mu_bad / (mu_eff + 2), (1 - c_1 - c_mu) / (d * c_mu))  # eqs. 50 to 52
        return cls(
            weights=good / good.sum() - bad * max(least, 0.0) / bad.sum(),  # eq. 53
            mu_eff=mu_eff,
            c_sigma=c_sigma,
            d_sigma=1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (d + 1)) - 1) + c_sigma,
            c_c=c_c,
            c_1=c_1,
            c_mu=c_mu,
            chi=math.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d * d)),
        )
