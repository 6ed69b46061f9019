"""Answers the cases of drift.test.ts with scipy, and with fairlearn's definitions written out: JSON lines in and out."""

import json
import sys

import numpy as np
from scipy import stats
from scipy.spatial.distance import jensenshannon
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint


def psi(c):
    r, l = (np.array(c[side]) + 0.5 for side in ("reference", "live"))
    r, l = r / r.sum(), l / l.sum()
    return stats.entropy(r, l) + stats.entropy(l, r)


def fisher(c):
    table = [[c["live"], c["liveRows"] - c["live"]], [c["reference"], c["referenceRows"] - c["reference"]]]
    return min(1, 2 * min(stats.fisher_exact(table, alternative=side).pvalue for side in ("less", "greater")))


def kolmogorov_smirnov(c):
    exact = stats.ks_2samp(c["reference"], c["live"], method="exact")
    return {"distance": exact.statistic, "p": exact.pvalue}


def newcombe(c):
    return list(confint_proportions_2indep(*c["a"], *c["b"], method="newcomb", compare="diff", alpha=c["alpha"]))


ANSWERS = {
    "psi": psi,
    "jensenShannon": lambda c: jensenshannon(c["reference"], c["live"], base=2),
    "fisher": fisher,
    "kolmogorovSmirnov": kolmogorov_smirnov,
    "wilson": lambda c: list(proportion_confint(c["hits"], c["rows"], alpha=c["alpha"], method="wilson")),
    "newcombe": newcombe,
}

for line in sys.stdin:
    case = json.loads(line)
    answer = ANSWERS[case["ask"]](case)
    if isinstance(answer, dict):
        answer = {key: float(value) for key, value in answer.items()}
    else:
        answer = [float(v) for v in answer] if isinstance(answer, list) else float(answer)
    print(json.dumps(answer))
