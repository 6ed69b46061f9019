"""Why a training cannot succeed, in the words of the `failure` file."""

from typing import Literal


class TrainingFailure(Exception):
    """Its first word is the failure class that the runner reads: bad data parks the cycle, a diverged training fails the
    gate, anything else is the user's error."""

    def __init__(self, kind: Literal["badData", "diverged", "userError"], message: str) -> None:
        super().__init__(f"{kind}: {message}")


class TrainingStopped(Exception):
    """Raised after the state is safe, because somebody asked the program to leave."""
