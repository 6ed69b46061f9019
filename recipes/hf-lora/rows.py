"""The rows of the train channel, as the loop writes them."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from failure import TrainingFailure
from hyperparameters import Hyperparameters


@dataclass(frozen=True)
class Row:
    id: str
    time: str
    label: str
    features: dict[str, Any]


def read_rows(folder: Path) -> list[Row]:
    """All rows of the folder's `*.jsonl` files, ordered by time and id: the same rows give the same model, however they are
    cut into files. Raises TrainingFailure `badData` that names file, line and field, or for zero rows."""
    rows: list[Row] = []
    for file in sorted(folder.glob("*.jsonl")):
        with file.open("rb") as lines:  # a text file would end lines at more characters than \n
            rows += [
                _parse(line, f"{file.name} line {number}") for number, line in enumerate(lines, 1) if line.strip() != b""
            ]
    if not rows:
        raise TrainingFailure("badData", "no rows to train on: the train channel is empty")
    return sorted(rows, key=lambda row: (datetime.fromisoformat(row.time), row.id))


def _parse(line: bytes, where: str) -> Row:
    try:
        value = json.loads(line)
    except ValueError:
        raise TrainingFailure("badData", f"{where}: expected JSON") from None
    if not isinstance(value, dict):
        raise TrainingFailure("badData", f"{where}: expected an object")
    for field in ("id", "time", "label"):
        if not isinstance(value.get(field), str) or value[field] == "":
            raise TrainingFailure("badData", f"{where}: {field}: expected a text")
    try:
        has_zone = datetime.fromisoformat(value["time"]).tzinfo is not None
    except ValueError:
        has_zone = False
    if not has_zone:
        raise TrainingFailure("badData", f"{where}: time: expected a date and time with a time zone")
    if not isinstance(value.get("features"), dict):
        raise TrainingFailure("badData", f"{where}: features: expected an object")
    return Row(value["id"], value["time"], value["label"], value["features"])


def class_names(rows: list[Row], hyperparameters: Hyperparameters) -> list[str]:
    """In output order: as given or sorted, the positive one last."""
    found = sorted({row.label for row in rows})
    given = hyperparameters["classes"]
    outside = [row for row in rows if given is not None and row.label not in given]
    if outside:
        first = outside[0]
        raise TrainingFailure(
            "badData",
            f"{len(outside)} of {len(rows)} rows have a label outside {', '.join(given)}: "
            f'row "{first.id}" has "{first.label}"',
        )
    if len(found) < 2:
        raise TrainingFailure(
            "badData", f'all {len(rows)} rows have label "{found[0]}": expected two classes or more'
        )
    positive = hyperparameters["positive"]
    if positive is not None and positive not in found:
        raise TrainingFailure("badData", f'no row has the positive label "{positive}"; labels are {", ".join(found)}')
    names = list(found if given is None else given)
    return names if positive is None else [*(name for name in names if name != positive), positive]


def texts_of(rows: list[Row], wanted: tuple[str, ...] | None) -> list[str]:
    """The text features of each row, one behind the other; by default all text features of the first row."""
    names = wanted or tuple(name for name, value in rows[0].features.items() if isinstance(value, str))
    if not names:
        raise TrainingFailure("badData", "no text feature in the first row")
    for row in rows:
        for name in names:
            if not isinstance(row.features.get(name), str):
                raise TrainingFailure("badData", f'row "{row.id}": feature "{name}" is no text')
    return ["\n".join(row.features[name] for name in names) for row in rows]


def is_validated(row: Row, share: float) -> bool:
    """Follows from the id alone, so that a row stays on its side when others come; the same rows as in recipes/encoder."""
    digest = hashlib.sha256(f"validation {row.id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "little") / 2**32 < share


def digest_of_rows(rows: list[Row]) -> str:
    """Of everything in the rows that training reads."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row.id, row.time, row.label, row.features]).encode())
    return digest.hexdigest()
