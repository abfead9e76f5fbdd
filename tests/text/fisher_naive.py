"""The mixture and its Fisher vector in float64 with plain loops, as the paper writes them."""

from __future__ import annotations

import math

import numpy as np

FLOOR = 1e-3


def log_density(x, mixture, k) -> float:
    """Log density of one point under component k, without its prior."""
    total = 0.0
    for d, value in enumerate(x):
        if mixture.laplace_[k, d]:
            s = mixture.scales_[k, d]
            total += -math.log(2 * s) - abs(value - mixture.medians_[k, d]) / s
        else:
            v = mixture.variances_[k, d]
            total += -0.5 * math.log(2 * math.pi * v) - (value - mixture.means_[k, d]) ** 2 / (2 * v)
    return total


def joint(x, mixture) -> list[float]:
    return [
        math.log(mixture.priors_[k]) + log_density(x, mixture, k) if mixture.priors_[k] > 0 else -math.inf
        for k in range(len(mixture.priors_))
    ]


def log_likelihood(x, mixture) -> float:
    logs = joint(x, mixture)
    top = max(logs)
    return top + math.log(sum(math.exp(one - top) for one in logs))


def posterior(x, mixture) -> list[float]:
    logs, total = joint(x, mixture), log_likelihood(x, mixture)
    return [math.exp(one - total) for one in logs]


def weighted_median(values, weights) -> float:
    """The smallest value up to which at least half of the weight lies."""
    half, seen = sum(weights) / 2, 0.0
    for value, weight in sorted(zip(values, weights, strict=True)):
        seen += weight
        if seen >= half:
            return value
    return max(values)


def step(samples, mixture, hybrid=True) -> dict[str, np.ndarray]:
    """One step of EM from the parameters of ``mixture``; every sample counts once."""
    gamma = np.array([posterior(x, mixture) for x in samples])
    shape = mixture.means_.shape
    new = {name: np.zeros(shape) for name in ("means", "variances", "medians", "scales")}
    new["laplace"] = np.zeros(shape, bool)
    new["priors"] = gamma.sum(0) / gamma.sum()
    for k in range(shape[0]):
        weights = gamma[:, k].tolist()
        mass = sum(weights)
        for d in range(shape[1]):
            values = samples[:, d].tolist()
            mean = sum(w * x for w, x in zip(weights, values, strict=True)) / mass
            variance = sum(w * (x - mean) ** 2 for w, x in zip(weights, values, strict=True)) / mass
            median = weighted_median(values, weights)
            scale = sum(w * abs(x - median) for w, x in zip(weights, values, strict=True)) / mass
            v, s = max(variance, FLOOR), max(scale, FLOOR)
            gauss = sum(
                w * (-0.5 * math.log(2 * math.pi * v) - (x - mean) ** 2 / (2 * v))
                for w, x in zip(weights, values, strict=True)
            )
            laplace = sum(
                w * (-math.log(2 * s) - abs(x - median) / s) for w, x in zip(weights, values, strict=True)
            )
            new["means"][k, d], new["variances"][k, d] = mean, v
            new["medians"][k, d], new["scales"][k, d] = median, s
            new["laplace"][k, d] = hybrid and laplace > gauss
    return new


def fisher_vector(points, mixture) -> np.ndarray:
    """Sums over words, first-order block then second-order block, not normalised."""
    count, (components, dim) = len(points), mixture.means_.shape
    out = np.zeros((2, components, dim))
    for x in points:
        gamma = posterior(x, mixture)
        for k in range(components):
            prior = mixture.priors_[k]
            for d in range(dim):
                if mixture.laplace_[k, d]:
                    away = x[d] - mixture.medians_[k, d]
                    sign = 0 if abs(away) < 1e-9 * mixture.scales_[k, d] else math.copysign(1, away)
                    root = math.sqrt(count * prior)
                    out[0, k, d] += gamma[k] * sign / root
                    out[1, k, d] += gamma[k] * (abs(away) / mixture.scales_[k, d] - 1) / root
                else:
                    away, v = x[d] - mixture.means_[k, d], mixture.variances_[k, d]
                    out[0, k, d] += gamma[k] * away / math.sqrt(v) / math.sqrt(count * prior)
                    out[1, k, d] += gamma[k] * (away**2 / v - 1) / math.sqrt(2 * count * prior)
    return out.ravel()
