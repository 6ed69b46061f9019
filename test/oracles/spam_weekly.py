"""Independent baseline of the replay: scikit-learn, TF-IDF of words and word pairs and logistic regression.

    python spam_weekly.py mails.jsonl [--share-held-out 0]

For each of the eleven weeks: one model frozen on what was labelled before 2002-08-01, one retrained on everything
labelled before the week. Prints one JSON line: {"versions": ..., "weeks": [{"start", "rows", "frozen", "retrained",
"frozenWrong", "retrainedWrong"}]}; the wrong lists hold message ids, so that models can be compared mail by mail.
"""

import json
import sys
from datetime import datetime, timedelta, timezone

import numpy
import sklearn
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

START = datetime(2002, 8, 1, tzinfo=timezone.utc)
WEEKS = 11
LABEL_DELAY = timedelta(days=1)


def read(path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            mail = json.loads(line)
            mail["time"] = datetime.fromisoformat(mail["receivedAt"].replace("Z", "+00:00"))
            mail["text"] = mail["subject"] + "\n" + mail["body"]
            yield mail


def fit(mails):
    # sublinear_tf and C = 10: the best of {raw, sublinear} x {1, 10, 30, 100} on these weeks, so the bar is not a straw man.
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), max_features=30_000, sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    )
    return model.fit([m["text"] for m in mails], [m["isSpam"] for m in mails])


def main():
    mails = list(read(sys.argv[1]))
    known = lambda at: [m for m in mails if m["time"] + LABEL_DELAY <= at]
    frozen = fit(known(START))
    weeks = []
    for week in range(WEEKS):
        start = START + timedelta(weeks=week)
        rows = [m for m in mails if start <= m["time"] < start + timedelta(weeks=1)]
        labels = numpy.array([m["isSpam"] for m in rows])
        wrong = {}
        for name, model in (("frozen", frozen), ("retrained", fit(known(start)))):
            missed = model.predict([m["text"] for m in rows]) != labels
            wrong[name] = [m["messageId"] for m, is_wrong in zip(rows, missed) if is_wrong]
        weeks.append(
            {
                "start": start.date().isoformat(),
                "rows": len(rows),
                "frozen": 1 - len(wrong["frozen"]) / len(rows),
                "retrained": 1 - len(wrong["retrained"]) / len(rows),
                "frozenWrong": wrong["frozen"],
                "retrainedWrong": wrong["retrained"],
            }
        )
    print(json.dumps({"versions": {"sklearn": sklearn.__version__, "numpy": numpy.__version__}, "weeks": weeks}))


main()
