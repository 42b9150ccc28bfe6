"""Queues in virtual time whose true quantiles are known or easy to find: no server, no clock.

M/M/1, M/D/1, log-normal service, four
servers, a server that works in batches, one that freezes for 5 % of the time.
"""

import math
from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SYSTEMS = ("M/M/1", "M/D/1", "log-normal", "M/M/4", "batch", "freeze")
FREEZE_EVERY, FREEZE_FOR = 600.0, 30.0  # mean service times: 0.3 s in 6 s at 10 ms


def simulate(
    system: str, utilisation: float, runs: int, n: int, rng: np.random.Generator, warm: int
) -> tuple[Floats, Floats]:
    """Due and end times of steady runs, shape (runs, n); the unit is a mean service time."""
    shape = (runs, warm + n)
    if system == "batch":
        rate = utilisation * 32 / (10 + 1.5 * 32) * 11.5  # a unit is one single-text batch
        due = np.cumsum(rng.exponential(1 / rate, shape), axis=1)
        end = np.array([_batch_server(row) for row in due.tolist()])
    elif system == "M/M/4":
        due = np.cumsum(rng.exponential(1 / (4 * utilisation), shape), axis=1)
        end = _many_servers(due, rng.exponential(1, shape), servers=4)
    else:
        awake = 1 - FREEZE_FOR / FREEZE_EVERY if system == "freeze" else 1.0
        due = np.cumsum(rng.exponential(1 / (utilisation * awake), shape), axis=1)
        service = _service_times(system, shape, rng)
        if system == "freeze":
            due = due + rng.uniform(0, FREEZE_EVERY, (runs, 1))
            end = _thawed(_one_server(_awake(due), service))
        else:
            end = _one_server(due, service)
    return due[:, warm:], np.asarray(end)[:, warm:]


def _service_times(system: str, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Service times of mean 1."""
    if system == "M/D/1":
        return np.ones(shape)
    if system == "log-normal":  # coefficient of variation 0.53
        return rng.lognormal(-0.125, 0.5, shape)
    return rng.exponential(1, shape)


def _one_server(due: Floats, service: Floats) -> Floats:
    """Lindley's recursion, first come first served, by running minima."""
    gaps = np.diff(due, axis=1, prepend=due[:, :1])
    steps = np.concatenate([np.zeros_like(due[:, :1]), service[:, :-1]], axis=1) - gaps
    walk = np.cumsum(steps, axis=1)
    return due + walk - np.minimum.accumulate(walk, axis=1) + service


def _many_servers(due: Floats, service: Floats, servers: int) -> Floats:
    free = np.zeros((len(due), servers))
    end = np.empty_like(due)
    rows = np.arange(len(due))
    for i in range(due.shape[1]):
        first = free.argmin(axis=1)
        end[:, i] = np.maximum(free[rows, first], due[:, i]) + service[:, i]
        free[rows, first] = end[:, i]
    return end


def _batch_server(due: list[float]) -> list[float]:
    """Takes what waits, at most 32 texts, for 10 ms and 1.5 ms a text."""
    end: list[float] = []
    free = 0.0
    while len(end) < len(due):
        at = len(end)
        start = max(free, due[at])
        size = min(bisect_right(due, start, lo=at), at + 32) - at
        free = start + (10 + 1.5 * size) / 11.5
        end += [free] * size
    return end


def _awake(time: Floats) -> Floats:
    """Time without the freezes; what comes in during one waits at its end."""
    cycles, rest = np.divmod(time, FREEZE_EVERY)
    return cycles * (FREEZE_EVERY - FREEZE_FOR) + np.maximum(rest - FREEZE_FOR, 0)


def _thawed(awake: Floats) -> Floats:
    cycles, rest = np.divmod(awake, FREEZE_EVERY - FREEZE_FOR)
    return cycles * FREEZE_EVERY + rest + FREEZE_FOR


def warm_up(utilisation: float) -> int:
    """Requests until an empty queue has forgotten that it was."""
    return min(int(20 / (1 - utilisation) ** 2) + 100, 5000)


def limits(
    system: str, utilisation: float, tails: list[float], total: int, rng: np.random.Generator
) -> dict[float, float]:
    """The latency that a share of all requests exceeds, for each share, from one long study."""
    if system == "M/M/1":  # the sojourn time is exponential with rate 1 - utilisation
        return {e: -math.log(e) / (1 - utilisation) for e in tails}
    chunk, found = 10_000, []
    for _ in range(max(total // (100 * chunk), 1)):
        due, end = simulate(system, utilisation, 100, chunk, rng, warm_up(utilisation))
        found.append((end - due).ravel())
    latency = np.concatenate(found)
    return {e: float(np.quantile(latency, 1 - e)) for e in tails}
