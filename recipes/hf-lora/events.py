"""What the program says while it runs. Never row texts."""

import json
import math
import sys


def log(event: str, **fields: str | int | float | bool) -> None:
    """One event a line on stderr; stdout carries progress lines only."""
    print(json.dumps({"event": event, **fields}), file=sys.stderr, flush=True)


def report_progress(progress: float, metrics: dict[str, float | int | None]) -> None:
    """`{"progress": 0.4, …}` on stdout: what the runner reads as a sign of life and shows to people. JSON knows no NaN."""
    known = {name: value for name, value in metrics.items() if value is not None and math.isfinite(value)}
    print(json.dumps({"progress": progress, **known}), flush=True)
