"""Independent oracle for src/onnx: the onnx package and onnxruntime's own quantizer (see onnx.test.ts for the command).

  make FOLDER   writes typed.onnx: fields as another exporter writes them
  check FOLDER  reads cases.json, a list of {name, float, ours, perChannel, reduceRange, weights, input}; prints a JSON list:
                for each case whether onnx.checker accepts our model, which weights and scales equal those of
                quantize_dynamic bit for bit, and how far the two models' outputs are apart
  parameters FOLDER  prints scale and zero point for every range of ranges.json
  corpus FOLDER  reads corpus.json, a list of {name, float, ours, inputs, perChannel, reduceRange}; quantizes each with
                quantize_dynamic and prints for both whether the engine loads the model, the relative error of its first
                output against float, and which of our int8 weights equal theirs bit for bit
  accept FOLDER  runs onnx.checker over accept-*.onnx; prints their names
  compare FOLDER  prints the differences between typed.onnx and rewritten.onnx
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import compute_scale_zp, get_qmin_qmax_for_qType


def initializers(path):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def check_case(folder, case):
    ours = folder / case["ours"]
    onnx.checker.check_model(onnx.load(folder / case["float"]), full_check=True)
    onnx.checker.check_model(onnx.load(ours), full_check=True)
    theirs = folder / f"{case['name']}.theirs.onnx"
    quantize_dynamic(
        str(folder / case["float"]),
        str(theirs),
        op_types_to_quantize=["MatMul"],
        per_channel=case["perChannel"],
        reduce_range=case["reduceRange"],
        weight_type=QuantType.QInt8,
    )
    mine, reference = initializers(ours), initializers(theirs)
    equal = []
    for weight in case["weights"]:
        for suffix in ("quantized", "scale"):
            name = f"{weight}_{suffix}"
            a, b = mine[name], reference[name]
            if a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes():
                equal.append(name)
    x = np.random.default_rng(0).normal(size=case["input"]).astype(np.float32)
    outputs = [session(path).run(None, {"x": x})[0] for path in (ours, theirs)]
    return {
        "name": case["name"],
        "equal": equal,
        "outputDifference": float(np.max(np.abs(outputs[0] - outputs[1]))),
        "outputScale": float(np.max(np.abs(outputs[1]))),
    }


def parameters(folder):
    answers = []
    for entry in json.loads((folder / "ranges.json").read_text()):
        element = TensorProto.UINT8 if entry["type"] == "uint8" else TensorProto.INT8
        qmin, qmax = get_qmin_qmax_for_qType(element, entry["reduceRange"], entry["symmetric"])
        low, high = (np.array(entry[end], dtype=np.float32) for end in ("min", "max"))
        zero_point, scale = compute_scale_zp(low, high, qmin, qmax, entry["symmetric"])
        answers.append({"scale": float(scale), "zeroPoint": int(zero_point)})
    return answers


def random_input(spec, generator):
    if spec["type"] == "float32":
        return generator.normal(size=spec["dims"]).astype(np.float32)
    return generator.integers(0, spec["below"], size=spec["dims"]).astype(np.int64)


def answer_of(path, feeds, expected):
    """The relative error against `expected`, or the engine's complaint."""
    try:
        output = session(path).run(None, feeds)[0].astype(np.float64)
    except Exception as error:
        return {"problem": str(error)[:300]}
    if output.shape != expected.shape:
        return {"problem": f"shape {output.shape}, expected {expected.shape}"}
    return {"error": float(np.linalg.norm(output - expected) / np.linalg.norm(expected))}


def corpus(folder):
    answers = []
    for case in json.loads((folder / "corpus.json").read_text()):
        ours, theirs = folder / case["ours"], folder / f"{case['name']}.theirs.onnx"
        onnx.checker.check_model(onnx.load(ours), full_check=case["fullCheck"])
        generator = np.random.default_rng(7)
        feeds = {name: random_input(spec, generator) for name, spec in case["inputs"].items()}
        expected = session(folder / case["float"]).run(None, feeds)[0].astype(np.float64)
        answer = {"name": case["name"], "ours": answer_of(ours, feeds, expected), "equal": []}
        try:
            quantize_dynamic(
                str(folder / case["float"]),
                str(theirs),
                per_channel=case["perChannel"],
                reduce_range=case["reduceRange"],
                weight_type=QuantType.QInt8,
                extra_options={"EnableSubgraph": True},
            )
        except Exception as error:
            answer["theirs"] = {"problem": f"{type(error).__name__}: {str(error)[:300]}"}
        else:
            answer["theirs"] = answer_of(theirs, feeds, expected)
            mine, reference = initializers(ours), initializers(theirs)
            for name, value in mine.items():
                other = reference.get(name)
                if value.dtype == np.int8 and other is not None and value.shape == other.shape:
                    if value.tobytes() == other.tobytes():
                        answer["equal"].append(name)
            answer["sizes"] = [ours.stat().st_size, theirs.stat().st_size]
        answers.append(answer)
    return answers


def accept(folder):
    names = sorted(path.name for path in folder.glob("accept-*.onnx"))
    for name in names:
        onnx.checker.check_model(onnx.load(folder / name), full_check=True)
    return names


def make(folder):
    weights = [
        helper.make_tensor("f32", TensorProto.FLOAT, [2], [1.5, -2.0]),
        helper.make_tensor("f16", TensorProto.FLOAT16, [2], [0.5, -1.0]),
        helper.make_tensor("bf16", TensorProto.BFLOAT16, [2], [0.5, -1.0]),
        helper.make_tensor("f64", TensorProto.DOUBLE, [1], [0.1]),
        helper.make_tensor("i8", TensorProto.INT8, [3], [-128, 0, 127]),
        helper.make_tensor("u8", TensorProto.UINT8, [2], [0, 255]),
        helper.make_tensor("i16", TensorProto.INT16, [1], [-3]),
        helper.make_tensor("u16", TensorProto.UINT16, [1], [65535]),
        helper.make_tensor("i32", TensorProto.INT32, [1], [-7]),
        helper.make_tensor("u32", TensorProto.UINT32, [1], [2**32 - 1]),
        helper.make_tensor("i64", TensorProto.INT64, [2], [-(2**63), 5]),
        helper.make_tensor("u64", TensorProto.UINT64, [1], [2**64 - 1]),
        helper.make_tensor("b", TensorProto.BOOL, [2], [True, False]),
        helper.make_tensor("i4", TensorProto.INT4, [3], [-8, 7, 1]),
        helper.make_tensor("s", TensorProto.STRING, [2], [b"a", "ü".encode()]),
        helper.make_tensor("c64", TensorProto.COMPLEX64, [1], [1 + 2j]),
    ]
    node = helper.make_node("Add", ["x", "f32"], ["y"], name="add", doc_string="a note that we do not interpret")
    graph = helper.make_graph(
        [node],
        "typed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        initializer=weights,
        doc_string="graph note",
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10, doc_string="note")
    helper.set_model_props(model, {"key": "value"})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / "typed.onnx")


def compare(folder):
    a, b = onnx.load(folder / "typed.onnx"), onnx.load(folder / "rewritten.onnx")
    onnx.checker.check_model(b, full_check=True)
    differences = []
    for left, right in zip(a.graph.initializer, b.graph.initializer, strict=True):
        x, y = numpy_helper.to_array(left), numpy_helper.to_array(right)
        if x.dtype != y.dtype or x.shape != y.shape or x.tolist() != y.tolist():
            differences.append(left.name)
    for model in (a, b):
        del model.graph.initializer[:]
        for entry in model.opset_import:  # an absent domain and an empty one are the same
            entry.domain = ""
        for entry in model.graph.node:
            entry.domain = ""
    for field, default in (("producer_name", ""), ("producer_version", ""), ("domain", ""), ("model_version", 0)):
        for model in (a, b):
            if getattr(model, field) == default:
                model.ClearField(field)
    if a != b:
        differences.append(f"model: {a} != {b}")
    return differences


if __name__ == "__main__":
    command, folder = sys.argv[1], Path(sys.argv[2])
    if command == "make":
        make(folder)
    elif command == "check":
        cases = json.loads((folder / "cases.json").read_text())
        print(json.dumps([check_case(folder, case) for case in cases]))
    elif command == "parameters":
        print(json.dumps(parameters(folder)))
    elif command == "corpus":
        print(json.dumps(corpus(folder)))
    elif command == "accept":
        print(json.dumps(accept(folder)))
    elif command == "compare":
        print(json.dumps(compare(folder)))
    else:
        sys.exit(f"unknown command {command}")
