"""Training program: ridge regression on standardised columns, as an ONNX graph."""
import json, os, pathlib
import numpy as np
from skl2onnx import to_onnx
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

files = sorted(pathlib.Path(os.environ["SM_CHANNEL_TRAIN"]).glob("*.jsonl"))
rows = [json.loads(line) for file in files for line in file.open()]
features = sorted(rows[0]["features"])
x = np.array([[row["features"][name] for name in features] for row in rows], dtype=np.float32)
y = np.array([float(row["label"]) for row in rows], dtype=np.float32)
alpha = float(json.loads(os.environ["SM_HPS"]).get("alpha", 1))
model = make_pipeline(StandardScaler(), Ridge(alpha=alpha)).fit(x, y)
print(json.dumps({"progress": 1, "rows": len(rows), "r2": model.score(x, y)}))

folder = pathlib.Path(os.environ["SM_MODEL_DIR"])
graph = to_onnx(model, x[:1], target_opset=18)
graph.graph.input[0].name = graph.graph.node[0].input[0] = "features"
(folder / "model.onnx").write_bytes(graph.SerializeToString())
(folder / "signature.json").write_text(json.dumps({
    "schema": "goto3/signature/v1", "task": "regression",
    "preprocessing": {"kind": "numeric", "features": features},
    "labels": [], "output": graph.graph.output[0].name}))
