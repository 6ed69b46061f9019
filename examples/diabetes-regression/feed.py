"""Data program: the 442 patients of scikit-learn's diabetes data (Efron et al., Least Angle Regression, 2004)."""
import datetime, json, os, sys
from sklearn.datasets import load_diabetes

# So many at a time: the first cycle sees most of the study, the second the rest.
batch = int(os.environ.get("BATCH_ROWS", "400"))
since = int(sys.argv[sys.argv.index("--since") + 1] or 0)
patients = load_diabetes(scaled=False)
until = min(since + batch, len(patients.target))
for n in range(since, until):
    # The data has no dates: one patient a day, in the order of the file.
    seen_at = datetime.datetime(2003, 1, 1, 9, tzinfo=datetime.timezone.utc) + datetime.timedelta(days=n)
    features = dict(zip(patients.feature_names, map(float, patients.data[n])))
    print(json.dumps({"patient": f"patient-{n}", "seenAt": seen_at.isoformat(), "progression": float(patients.target[n]), **features}))
print(json.dumps({"cursor": str(until)}))
