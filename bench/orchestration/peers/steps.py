"""The seven steps of bench/orchestration, the same for every peer: a step does nothing but note that it ran. For the runs
in which the orchestrator is killed, the fourth step takes a while."""

import os
import time

COUNT = 7
SLOW = 4


def run(step: int) -> None:
    note(f"{step} began")
    if step == SLOW:
        time.sleep(float(os.environ.get("BENCH_SLOW_SECONDS", "0")))
    note(f"{step} ended")


def note(line: str) -> None:
    with open(os.environ["BENCH_NOTES"], "a") as notes:
        notes.write(f"{line}\n")
