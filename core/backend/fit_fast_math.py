"""Prints the coefficients in fast_math.inc: weighted minimax fits by iteratively reweighted least squares (needs numpy)."""
import math

import numpy as np


def minimax(f, numerator, denominator, low, high, weight, points=4000, rounds=60):
    """P, Q (Q(0) = 1) of the given degrees that make max |P / Q - f| * weight over [low, high] small."""
    s = (low + high) / 2 + (high - low) / 2 * np.cos(np.linspace(0, np.pi, points))
    y = f(s)
    w = weight(s, y)
    z = s / high
    q = np.ones_like(s)
    emphasis = np.ones_like(s)
    best = None
    for k in range(rounds):
        columns = [np.vander(z, numerator + 1, increasing=True),
                   -y[:, None] * np.vander(z, denominator + 1, increasing=True)[:, 1:]]
        scale = w * np.sqrt(emphasis) / q
        c = np.linalg.lstsq(np.concatenate(columns, 1) * scale[:, None], y * scale, rcond=1e-18)[0]
        p_coefficients, q_coefficients = c[:numerator + 1], np.concatenate([[1.0], c[numerator + 1:]])
        q = np.abs(np.polyval(q_coefficients[::-1], z))
        error = np.abs(np.polyval(p_coefficients[::-1], z) / q - y) * w
        if best is None or error.max() < best[0]:
            best = (error.max(), p_coefficients / high ** np.arange(numerator + 1),
                    q_coefficients / high ** np.arange(denominator + 1))
        if k > 5:  # Lawson's reweighting, once the denominator has settled
            emphasis *= error / error.max() + 1e-3
            emphasis /= emphasis.mean()
    return best


def show(name, fit):
    error, p, q = fit
    print(f"{name}: error {error:.1e}")
    for label, coefficients in (("P", p), ("Q", q)):
        print(f"  {label}", [float(np.float32(c)) for c in coefficients])


erf = np.vectorize(math.erf)
root = lambda s: np.sqrt(np.maximum(s, 1e-8))
show("exp: e^r = 1 + r + r^2 P(r)",
     minimax(lambda r: np.where(np.abs(r) < 1e-3, 0.5 + r / 6 + r * r / 24, (np.expm1(r) - r) / np.where(r == 0, 1, r * r)),
             4, 0, -0.34661, 0.34661, lambda r, y: r * r / np.exp(r) + 1e-6))
show("erf(x) = x P(x^2) / Q(x^2)", minimax(lambda s: erf(root(s)) / root(s), 5, 5, 0.0, 3.92 ** 2, lambda s, y: 1 / y))
show("tanh(x) = x P(x^2) / Q(x^2)", minimax(lambda s: np.tanh(root(s)) / root(s), 4, 4, 0.0, 9.02 ** 2, lambda s, y: 1 / y))
slope = lambda x: erf(x / math.sqrt(2)) / 2 + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
show("gelu'(x) = 1/2 + x P(x^2) / Q(x^2)", minimax(lambda s: slope(root(s)) / root(s), 5, 5, 0.0, 5.6 ** 2, lambda s, y: root(s)))
