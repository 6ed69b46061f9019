"""The peer of bench/endpoint.ts: FastAPI on uvicorn with uvloop and httptools, ONNX Runtime behind a plain `def` route,
as FastAPI's documents recommend for code that blocks. Prints the port that it listens on."""

import socket
import sys

import fastapi
import numpy
import onnxruntime
import pydantic
import uvicorn

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
labels = ["ham", "spam"]


class Row(pydantic.BaseModel):
    features: list[float]


class Body(pydantic.BaseModel):
    instances: list[Row]


app = fastapi.FastAPI()


@app.get("/ping")
def ping() -> dict[str, str]:
    return {}


@app.post("/invocations")
def invocations(body: Body) -> dict[str, list[dict[str, str | float]]]:
    features = numpy.array([row.features for row in body.instances], dtype=numpy.float32)
    (probabilities,) = session.run(["probabilities"], {"features": features})
    return {
        "predictions": [
            {"label": labels[int(row.argmax())], "score": float(row[1])} for row in probabilities
        ]
    }


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
server.run(sockets=[listener])
