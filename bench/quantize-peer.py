"""The peer of bench/quantize.ts, as its own docs use it: quantize_dynamic with a scale per channel and 7-bit weights.

  quantize-peer.py FLOAT INT8
"""

import sys

from onnxruntime.quantization import QuantType, quantize_dynamic

quantize_dynamic(sys.argv[1], sys.argv[2], per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
