"""How much better than the best so far a value may be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, ndtr

Array = NDArray[np.float64]

_LOG_ROOT = 0.5 * np.log(2 * np.pi)
_HALF_PI = np.sqrt(np.pi / 2)
_SAME = 1e-16


def log_improvement(z: Array) -> tuple[Array, Array]:
    """The logarithm of E[max(z + N(0, 1), 0)], and its slope: exact to where the expectation is far below any float.

    Args:
        z: How far the best so far is above the mean, in standard deviations; for the logarithm of an expected
            improvement, add that of the standard deviation.

    References:
        Ament et al., "Unexpected improvements to expected improvement for Bayesian optimization", NeurIPS 2023, eq. 9.

    >>> log_improvement(np.array([-100.0, 0.0]))[0].round(3)
    array([-5.01013e+03, -9.19000e-01])
    """
    near = np.maximum(z, -1.0)
    below = ndtr(near)
    h = np.exp(-0.5 * near * near - _LOG_ROOT) + near * below
    far = np.minimum(z, -1.0)
    # There h / phi = 1 - t; for t so close to 1 that floats cannot tell, it is about 1 / z^2.
    mills = _HALF_PI * erfcx(far * -np.sqrt(0.5))
    left = 1.0 + far * mills
    left = np.where(far < -1e4, 1.0 / (far * far), np.maximum(left, _SAME))
    log = np.where(z > -1.0, np.log(h), np.log(left) - 0.5 * far * far - _LOG_ROOT)
    return log, np.where(z > -1.0, below / h, mills / left)
