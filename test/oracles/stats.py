"""Answers the cases of stats.test.ts with scipy, scikit-learn and statsmodels: JSON lines in, JSON lines out.

Where no library has the formula (Tango's interval, the E p-value, DeLong's variance, the e-values), it is computed here
from its definition by another route than the TypeScript takes: numerical optimisation and brute-force enumeration.
"""

import json
import sys

import numpy as np
from scipy import optimize, special, stats
from sklearn import metrics as sk
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint


def classification(c):
    y = np.array([1 if v == c["positive"] else 0 for v in c["label"]])
    p = np.array([1 if v == c["positive"] else 0 for v in c["predicted"]])
    s = np.array(c["score"])
    negatives = y == 0
    return {
        "accuracy": sk.accuracy_score(y, p),
        "f1": sk.f1_score(y, p),
        "precision": sk.precision_score(y, p),
        "recall": sk.recall_score(y, p),
        "falsePositiveRate": float(np.mean(p[negatives])),
        "falseNegativeRate": 1 - sk.recall_score(y, p),
        "rocAuc": sk.roc_auc_score(y, s),
        "prAuc": sk.average_precision_score(y, s),
        "logLoss": sk.log_loss(y, s),
    }


def macro(c):
    options = {"average": "macro", "labels": sorted(set(c["label"])), "zero_division": 0}
    return {
        "f1": sk.f1_score(c["label"], c["predicted"], **options),
        "precision": sk.precision_score(c["label"], c["predicted"], **options),
        "recall": sk.recall_score(c["label"], c["predicted"], **options),
    }


def regression(c):
    y, s = np.array(c["target"]), np.array(c["score"])
    return {
        "rmse": float(np.sqrt(sk.mean_squared_error(y, s))),
        "mae": sk.mean_absolute_error(y, s),
        "r2": sk.r2_score(y, s),
    }


def log_likelihood(p_lost, difference, n, gained, lost):
    p_gained = p_lost + difference
    rest = 1 - p_lost - p_gained
    return special.xlogy(gained, p_gained) + special.xlogy(lost, p_lost) + special.xlogy(n - gained - lost, rest)


def restricted_lost(difference, n, gained, lost):
    """Maximises the trinomial likelihood numerically, where the TypeScript has Tango's closed form."""
    low, high = max(0.0, -difference), (1 - difference) / 2
    best = optimize.minimize_scalar(
        lambda q: -log_likelihood(q, difference, n, gained, lost), bounds=(low, high), method="bounded",
        options={"xatol": 1e-13},
    ).x
    return max([low, best, high], key=lambda q: log_likelihood(q, difference, n, gained, lost))


def score(difference, n, gained, lost):
    q = restricted_lost(difference, n, gained, lost)
    variance = n * (2 * q + difference - difference**2)
    excess = gained - lost - n * difference
    return excess / np.sqrt(variance) if variance > 1e-14 else np.sign(excess) * np.inf


def tango(c):
    n, b, l = c["rows"], c["gained"], c["lost"]
    z = stats.norm.ppf(1 - (1 - c["confidence"]) / 2)
    estimate = (b - l) / n
    lower = optimize.brentq(lambda d: score(d, n, b, l) - z, -1 + 1e-9, estimate - 1e-12, xtol=1e-14)
    upper = optimize.brentq(lambda d: score(d, n, b, l) + z, estimate + 1e-12, 1 - 1e-9, xtol=1e-14)
    return {"lower": lower, "upper": upper}


def exact_paired(c):
    n, b, l, d = c["rows"], c["gained"], c["lost"], c["difference"]
    q = restricted_lost(d, n, b, l)
    observed = score(d, n, b, l)
    total = 0.0
    for gained in range(n + 1):
        for lost in range(n - gained + 1):
            if score(d, n, gained, lost) >= observed - 1e-7:
                total += stats.multinomial.pmf([gained, lost, n - gained - lost], n, [q + d, q, 1 - 2 * q - d])
    return total


def delong(c):
    """Structural components by their definition, over all pairs."""
    y = np.array(c["label"])

    def components(s):
        s = np.array(s)
        psi = (s[y == 1][:, None] > s[y == 0][None, :]) + 0.5 * (s[y == 1][:, None] == s[y == 0][None, :])
        return psi.mean(), psi.mean(axis=1), psi.mean(axis=0)

    (a, a10, a01), (b, b10, b01) = components(c["a"]), components(c["b"])
    m, n = len(a10), len(a01)
    single = np.sqrt(np.var(a10, ddof=1) / m + np.var(a01, ddof=1) / n)
    paired = np.sqrt(np.var(a10 - b10, ddof=1) / m + np.var(a01 - b01, ddof=1) / n)
    logit_error = single / (a * (1 - a))
    z = stats.norm.ppf(0.95)
    return {
        "auc": a,
        "lower": float(special.expit(special.logit(a) - z * logit_error)),
        "difference": a - b,
        "differenceLower": a - b - z * paired,
    }


def two_sample(c):
    (nc, kc), (ns, ks), m = c["candidate"], c["other"], c["margin"]

    def mixture(n, k, a, b):
        return special.betaln(a + k, b + n - k) - special.betaln(a, b)

    ours = special.logsumexp([mixture(nc, kc, 0.25, 4), mixture(nc, kc, 1, 1)], b=[0.5, 0.5])

    def likelihood(pc, ps):
        return special.xlogy(kc, pc) + special.xlog1py(nc - kc, -pc) + special.xlogy(ks, ps) + special.xlog1py(ns - ks, -ps)

    if kc / nc <= ks / ns + m:
        most = likelihood(kc / nc, ks / ns)
    else:
        low, high = max(0.0, -m), min(1.0, 1 - m)
        best = optimize.minimize_scalar(
            lambda p: -likelihood(p + m, p), bounds=(low, high), method="bounded", options={"xatol": 1e-14}
        ).x
        most = max(likelihood(p + m, p) for p in (low, best, high))
    return ours + mixture(ns, ks, 0.25, 4) - most


def bca(c):
    result = stats.bootstrap(
        (np.array(c["values"]),), np.mean, confidence_level=0.9, n_resamples=20000, method="BCa", rng=1
    )
    return {"lower": result.confidence_interval.low, "upper": result.confidence_interval.high}


def paired_bca(c):
    """A metric of two models on the same rows, candidate - other, rows resampled as a whole."""

    def root_mean(a, b, axis=-1):
        return np.sqrt(np.mean(a, axis=axis)) - np.sqrt(np.mean(b, axis=axis))

    def mean(a, b, axis=-1):
        return np.mean(a, axis=axis) - np.mean(b, axis=axis)

    result = stats.bootstrap(
        (np.array(c["candidate"]), np.array(c["other"])), root_mean if c["root"] else mean, paired=True,
        confidence_level=0.9, n_resamples=20000, method="BCa", rng=1,
    )
    return {"lower": result.confidence_interval.low, "upper": result.confidence_interval.high}


def signed_rank(c):
    """scipy's exact test, and the bounds by searching for the shift at which it stops rejecting."""
    d = np.array(c["differences"])

    def p(shift, alternative):
        return stats.wilcoxon(d - shift, alternative=alternative, method="exact").pvalue

    averages = np.sort([(a + b) / 2 for i, a in enumerate(d) for b in d[i:]])
    # Between two neighbouring averages the test is constant.
    middles = (averages[1:] + averages[:-1]) / 2
    lower = averages[1:][[p(m, "greater") > 0.05 for m in middles].index(True) - 1]
    upper = averages[:-1][::-1][[p(m, "less") > 0.05 for m in middles[::-1]].index(True) - 1]
    return {
        "estimate": np.median(averages),
        "above": p(c["limit"], "greater"),
        "below": p(c["limit"], "less"),
        "lower": lower,
        "upper": upper,
    }


ANSWERS = {
    "normalCdf": lambda c: stats.norm.cdf(c["x"]),
    "normalQuantile": lambda c: stats.norm.ppf(c["p"]),
    "betaCdf": lambda c: special.betainc(c["a"], c["b"], c["x"]),
    "betaQuantile": lambda c: stats.beta.ppf(c["p"], c["a"], c["b"]),
    "binomialCdf": lambda c: stats.binom.cdf(c["k"], c["n"], c["p"]),
    "binomialSf": lambda c: stats.binom.sf(c["k"] - 1, c["n"], c["p"]),
    "binomialPmf": lambda c: stats.binom.pmf(c["k"], c["n"], c["p"]),
    "lnGamma": lambda c: special.gammaln(c["x"]),
    "lnBeta": lambda c: special.betaln(c["a"], c["b"]),
    "clopperPearson": lambda c: list(proportion_confint(c["k"], c["n"], alpha=0.05, method="beta")),
    "mcnemarMidP": lambda c: mcnemar([[0, c["gained"]], [c["lost"], 0]], exact=True).pvalue
    - stats.binom.pmf(min(c["gained"], c["lost"]), c["gained"] + c["lost"], 0.5),
    "holm": lambda c: multipletests(c["p"], method="holm")[1].tolist(),
    "classification": classification,
    "macro": macro,
    "regression": regression,
    "tango": tango,
    "exactPaired": exact_paired,
    "delong": delong,
    "twoSample": two_sample,
    "bca": bca,
    "pairedBca": paired_bca,
    "signedRank": signed_rank,
}


def plain(answer):
    if isinstance(answer, dict):
        return {key: float(value) for key, value in answer.items()}
    return [float(v) for v in answer] if isinstance(answer, list) else float(answer)


for line in sys.stdin:
    case = json.loads(line)
    print(json.dumps(plain(ANSWERS[case["ask"]](case))))
