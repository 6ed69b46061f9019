"""Independent oracle for the entropy calibrator: onnxruntime's own (see onnx-entropy.test.ts).

  onnx_entropy.py FILE...    each FILE is float32 values; prints a JSON list of [min, max], from 2048 bins
"""

import contextlib
import io
import json
import sys

import numpy as np
from onnxruntime.quantization.calibrate import HistogramCollector


def threshold(path):
    collector = HistogramCollector("entropy", False, 2048, 128, None, None)
    with contextlib.redirect_stdout(io.StringIO()):
        collector.collect({"value": np.fromfile(path, dtype=np.float32)})
        low, high, *_ = collector.compute_entropy()["value"]
    return [float(low), float(high)]


print(json.dumps([threshold(path) for path in sys.argv[1:]]))
