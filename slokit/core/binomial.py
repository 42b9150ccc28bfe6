"""Tails of the binomial distribution for real-valued counts, without SciPy.

The gate divides counts by an inflation, so "7.3 bad of 812.4 requests" must have a
probability. The regularised incomplete beta function I_x(a, b) gives it:
P(Bin(n, e) <= t) = I_{1-e}(n - t, t + 1) for whole and, by continuation, real t and n.
"""

import math
from collections.abc import Callable
from typing import Final

_HALF_LN_TWO_PI: Final = 0.5 * math.log(2 * math.pi)
_TINY: Final = 1e-300
_MAX_TERMS: Final = 100_000  # the fraction needs about sqrt(max(a, b)) terms


def betainc(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b) for real a, b > 0 and x in [0, 1].

    Lentz's continued fraction (DLMF 8.17.22); the error is below 1e-10 for a, b up to 1e5.
    Raises ValueError outside these ranges, ArithmeticError where it does not converge (1e14).

    >>> f"{betainc(2, 3, 0.5):.6f}"
    '0.687500'
    """
    if not (a > 0 and b > 0 and 0 <= x <= 1):
        raise ValueError(f"need a > 0, b > 0 and x in [0, 1], got a={a}, b={b}, x={x}")
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast only on this side
        return 1.0 - _density(a, b, x) * _fraction(b, a, 1 - x) / b
    return _density(a, b, x) * _fraction(a, b, x) / a


def tails(t: float, n: float, e: float) -> tuple[float, float]:
    """(P(X <= t), P(X >= t)) of X ~ Bin(n, e), for real 0 <= t <= n and e in [0, 1].

    >>> [float(f"{tail:.6f}") for tail in tails(0, 59, 0.05)]
    [0.048495, 1.0]
    """
    at_most = 1.0 if t >= n else betainc(n - t, t + 1, 1 - e)
    at_least = 1.0 if t <= 0 else betainc(t, n - t + 1, e)
    return at_most, at_least


def share_interval(t: float, n: float, alpha: float) -> tuple[float, float]:
    """Clopper-Pearson limits of a share after t of n; each end is wrong with chance <= alpha.

    Real t and n are allowed, 0 <= t <= n, n > 0.

    >>> [float(f"{end:.4f}") for end in share_interval(3, 10, 0.05)]
    [0.0873, 0.6066]
    """
    low = 0.0 if t <= 0 else solve(lambda e: tails(t, n, e)[1] - alpha, 0.0, 1.0)
    high = 1.0 if t >= n else solve(lambda e: alpha - tails(t, n, e)[0], 0.0, 1.0)
    return low, high


def student_tail(t: float, degrees: float) -> float:
    """P(T >= t) of Student's t for t >= 0: half of I_{v/(v+t^2)}(v/2, 1/2).

    >>> f"{student_tail(1.833, 9):.3f}"
    '0.050'
    """
    if math.isinf(t):
        return 0.0
    square = t * t
    if square < degrees:  # from the other side, where no digits cancel
        return 0.5 - 0.5 * betainc(0.5, degrees / 2, square / (degrees + square))
    return 0.5 * betainc(degrees / 2, 0.5, degrees / (degrees + square))


def solve(f: Callable[[float], float], low: float, high: float) -> float:
    """The zero of a rising function on [low, high], to 1e-12 of the span.

    Illinois false position; a function of one sign gives the end nearest to its zero.
    """
    f_low, f_high = f(low), f(high)
    if f_low >= 0 or f_high <= 0:
        return low if f_low >= 0 else high
    tolerance = 1e-12 * (high - low)
    while high - low > tolerance:
        at = (low * f_high - high * f_low) / (f_high - f_low)
        value = f(at)
        if value == 0:
            return at
        if value < 0:
            low, f_low, f_high = at, value, f_high / 2
        else:
            high, f_high, f_low = at, value, f_low / 2
    return (low + high) / 2


def _density(a: float, b: float, x: float) -> float:
    """x^a (1-x)^b / B(a, b), by the saddle-point form: exact where plain lgamma cancels.

    C. Loader, "Fast and accurate computation of binomial probabilities" (2000).
    """
    n = a + b
    exponent = (
        _stirling_error(n)
        - _stirling_error(a)
        - _stirling_error(b)
        - _deviance(a, n * x)
        - _deviance(b, n * (1 - x))
    )
    return math.exp(exponent) * math.sqrt(a * b / (2 * math.pi * n))


def _stirling_error(n: float) -> float:
    """What Stirling's formula for ln n! falls short of it; real n > 0."""
    if n < 16:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - _HALF_LN_TWO_PI
    n2 = n * n
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / n2) / n2) / n2) / n2) / n


def _deviance(x: float, mean: float) -> float:
    """The deviance x ln(x / mean) + mean - x, by its series where the plain form would cancel."""
    if abs(x - mean) >= 0.1 * (x + mean):
        return x * math.log(x / mean) + mean - x if mean > 0 else math.inf
    v = (x - mean) / (x + mean)
    total, term, k = (x - mean) * v, 2 * x * v, 1
    while True:
        term *= v * v
        k += 2
        if total + term / k == total:
            return total
        total += term / k


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of I_x(a, b) by Lentz's method."""
    value, c, d = 1.0, 1.0, 0.0
    for i in range(_MAX_TERMS):
        m = i // 2
        if i == 0:
            numerator = 1.0
        elif i % 2 == 0:
            numerator = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            numerator = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 + numerator * d
        d = 1.0 / (d if abs(d) > _TINY else _TINY)
        c = 1.0 + numerator / (c if abs(c) > _TINY else _TINY)
        value *= c * d
        if abs(1.0 - c * d) < 1e-14:
            return value - 1.0
    raise ArithmeticError(f"I_x(a, b) is out of reach for a={a}, b={b}, x={x}")
