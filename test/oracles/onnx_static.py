"""Independent oracle for static quantization: onnxruntime.quantization.quantize_static (see onnx-static.test.ts).

  check FOLDER     reads cases.json, a list of {name, float, ours, input, calibration, fresh, method, perChannel,
                   reduceRange}; quantizes `float` itself over the same calibration rows; prints a JSON list: which
                   initializers of both models have one name and the same bytes, which differ, and the squared error of
                   both models' outputs against the float model on fresh rows, run by this engine
  quantize TASK    quantizes one model: TASK is a JSON file {model, out, input, calibration, rows, method, perChannel,
                   reduceRange}; prints nothing. For benchmarks: a process of its own, cold
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

methods = {"minMax": CalibrationMethod.MinMax, "percentile": CalibrationMethod.Percentile}


class Rows(CalibrationDataReader):
    def __init__(self, name, rows, batch):
        self.batches = iter([{name: rows[at : at + batch]} for at in range(0, len(rows), batch)])

    def get_next(self):
        return next(self.batches, None)


def read_rows(path, shape):
    return np.fromfile(path, dtype=np.float32).reshape([-1, *shape])


def quantize(model, out, name, rows, batch, method, per_channel, reduce_range):
    quantize_static(
        str(model),
        str(out),
        Rows(name, rows, batch),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
        reduce_range=reduce_range,
        calibrate_method=methods[method],
        # Its percentile calibrator counts |x| unless told otherwise, and then cannot tell the two ends apart.
        extra_options={"CalibTensorRangeSymmetric": False},
    )


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def initializers(path):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def check_case(folder, case):
    ours, theirs = folder / case["ours"], folder / f"{case['name']}.theirs.onnx"
    onnx.checker.check_model(onnx.load(folder / case["float"]), full_check=True)
    onnx.checker.check_model(onnx.load(ours), full_check=True)
    calibration = read_rows(folder / case["calibration"], case["input"])
    quantize(
        *(folder / case["float"], theirs, "x", calibration, case["batch"], case["method"]),
        *(case["perChannel"], case["reduceRange"]),
    )
    mine, reference = initializers(ours), initializers(theirs)
    equal, different = [], []
    for name in sorted(mine.keys() & reference.keys()):
        a, b = mine[name], reference[name]
        same = a.dtype == b.dtype and a.size == b.size and a.tobytes() == b.tobytes()
        (equal if same else different).append(name)
    fresh = read_rows(folder / case["fresh"], case["input"])
    exact, by_us, by_them = (session(path).run(None, {"x": fresh})[0] for path in (folder / case["float"], ours, theirs))
    return {
        "name": case["name"],
        "equal": equal,
        "different": different,
        "ourError": float(np.sum((by_us - exact) ** 2)),
        "theirError": float(np.sum((by_them - exact) ** 2)),
        "ourBytes": ours.stat().st_size,
        "theirBytes": theirs.stat().st_size,
        "outputs": by_us.flatten().tolist(),
    }


def main(command, argument):
    if command == "check":
        cases = json.loads((argument / "cases.json").read_text())
        print("\n" + json.dumps([check_case(argument, case) for case in cases]))
    elif command == "quantize":
        task = json.loads(argument.read_text())
        rows = read_rows(task["calibration"], task["shape"])
        quantize(
            *(task["model"], task["out"], task["input"], rows, task["batch"], task["method"]),
            *(task["perChannel"], task["reduceRange"]),
        )
    else:
        sys.exit(f"unknown command {command}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
