"""Fine-tunes a BERT-family encoder as a text classifier with PyTorch, transformers and PEFT, under the SageMaker container
contract (DESIGN §4): rows from the `train` channel, the encoder as the hub keeps it on the `base` channel, `model.onnx` out.
It can be killed at any instruction and started again; the weights are the same, bit for bit. SIGTERM saves a checkpoint and
exits with 143."""

import os
import signal
import sys
import traceback
from types import FrameType

from container import Container, failure_file, read_container
from events import log
from failure import TrainingStopped
from hyperparameters import Hyperparameters, parse_hyperparameters
from rows import class_names, read_rows

is_stopping = False


def _stop(_signal: int, _frame: FrameType | None) -> None:
    global is_stopping
    is_stopping = True


def main(container: Container, hyperparameters: Hyperparameters) -> None:
    rows = read_rows(container.train)
    class_names(rows, hyperparameters)  # bad data is refused before PyTorch is loaded, which takes seconds
    # After the handler: who is asked to leave while this loads shall leave as the contract says.
    import run

    run.fine_tune(container, rows, hyperparameters, lambda: is_stopping)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    # Before torch: cuBLAS is deterministic with this workspace only, and nothing shall reach for the hub.
    os.environ.update(CUBLAS_WORKSPACE_CONFIG=":4096:8", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    try:
        container = read_container(os.environ)
        main(container, parse_hyperparameters(container.hyperparameters))
    except TrainingStopped as stopped:
        log("stopped", reason=str(stopped))
        # 128 + SIGTERM: the runner reads it as "asked to leave", not as a failure of the program.
        sys.exit(143)
    except Exception as error:
        file = failure_file(os.environ)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(error) or type(error).__name__, "utf-8")
        traceback.print_exc()
        sys.exit(1)
