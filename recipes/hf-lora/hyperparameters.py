"""The hyperparameters: names and meanings are those of recipes/encoder where it has them, so a loop changes its recipe and
keeps its numbers. What only a GPU needs is at the end."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from failure import TrainingFailure

#: What SageMaker adds for its own use; not ours to judge.
_RESERVED = re.compile(r"^(sagemaker_|_tuning_)")
#: SageMaker passes every value as text; a person running the program alone may write numbers.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_USUAL_RATES = {"lora": 5e-4, "full": 3e-5}


@dataclass(frozen=True)
class _Rule:
    read: Callable[[Any], Any]
    expected: str
    default: Any


def _number(value: Any) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError


def _real(low: float, high: float, default: float | None) -> _Rule:
    def read(value: Any) -> float:
        number = _number(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return _Rule(read, f"a number from {low:g} to {high:g}", default)


def _integer(low: int, high: int, default: int) -> _Rule:
    def read(value: Any) -> int:
        number = _number(value)
        if not (low <= number <= high and number.is_integer()):
            raise ValueError
        return int(number)

    return _Rule(read, f"a whole number from {low} to {high}", default)


def _one_of(*names: str) -> _Rule:
    def read(value: Any) -> str:
        if value not in names:
            raise ValueError
        return str(value)

    return _Rule(read, f"one of {', '.join(names)}", names[0])


def _text(value: Any) -> str:
    if not isinstance(value, str) or value == "":
        raise ValueError
    return value


def _names(default: tuple[str, ...] | None) -> _Rule:
    return _Rule(lambda value: tuple(n.strip() for n in _text(value).split(",")), "names, comma-separated", default)


_RULES = MappingProxyType(
    {
        "mode": _one_of("lora", "full"),
        "epochs": _integer(1, 1_000, 3),
        "batchSize": _integer(1, 4_096, 16),
        "microBatchSize": _integer(1, 4_096, 4_096),
        "learningRate": _real(0, 1e38, None),
        "schedule": _one_of("linear", "constant", "cosine"),
        "warmup": _real(0, 1, 0.06),
        "weightDecay": _real(0, 10, 0.01),
        "maxGradientNorm": _real(1e-6, 1e9, 1),
        "rank": _integer(1, 256, 8),
        "alpha": _real(1e-6, 4_096, 16),
        "targets": _names(("query", "value")),
        "dropout": _real(0, 0.95, 0.1),
        "labelSmoothing": _real(0, 0.5, 0),
        "classBalance": _real(0, 1, 0),
        "validation": _real(0, 0.5, 0.1),
        "patience": _integer(0, 1_000, 2),
        "maxTokens": _integer(8, 8_192, 128),
        "seed": _integer(0, 0xFFFFFFFF, 1),
        "threads": _integer(1, 256, 2),
        "features": _names(None),
        "positive": _Rule(_text, "a class", None),
        "classes": _names(None),
        "baseName": _Rule(_text, "a text", None),
        "baseRevision": _Rule(_text, "a text", None),
        "checkpointSeconds": _real(0, 86_400, 30),
        "progressSeconds": _real(0, 86_400, 1),
        "device": _one_of("auto", "cpu", "cuda"),
        "precision": _one_of("auto", "fp32", "bf16"),
    }
)
#: How often a run reports or saves decides nothing about the weights.
_INDECISIVE = ("checkpointSeconds", "progressSeconds")


@dataclass(frozen=True)
class Hyperparameters:
    values: MappingProxyType[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def learning_rate(self) -> float:
        given = self["learningRate"]
        return _USUAL_RATES[self["mode"]] if given is None else given

    def decisive(self) -> dict[str, Any]:
        """Those that decide about the weights."""
        return {name: value for name, value in self.values.items() if name not in _INDECISIVE}


def parse_hyperparameters(given: dict[str, Any]) -> Hyperparameters:
    """Raises TrainingFailure that names the hyperparameter and what was expected."""
    values = {name: rule.default for name, rule in _RULES.items()}
    for name, value in given.items():
        if _RESERVED.match(name):
            continue
        rule = _RULES.get(name)
        if rule is None:
            raise TrainingFailure("userError", f'hyperparameters: "{name}" is no hyperparameter')
        try:
            values[name] = rule.read(value)
        except ValueError:
            raise TrainingFailure("userError", f'hyperparameters: "{name}": expected {rule.expected}') from None
    return Hyperparameters(MappingProxyType(values))
