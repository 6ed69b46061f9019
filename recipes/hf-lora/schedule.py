"""How the learning rate goes: up from 0 over the first steps, then flat, or down to 0 in a line or half a cosine."""

import math


def learning_rate_at(step: int, steps: int, highest: float, shape: str, warmup: float) -> float:
    """The rate of step 1, 2 … `steps`; as transformers' `get_linear_schedule_with_warmup` and `get_cosine_…` have it.
    `warmup`: share of the steps in which it rises."""
    done = step - 1
    warmup_steps = math.floor(warmup * steps + 0.5)
    if done < warmup_steps:
        return highest * done / warmup_steps
    if shape == "constant":
        return highest
    progress = min(1.0, (done - warmup_steps) / max(1, steps - warmup_steps))
    return highest * (1 - progress if shape == "linear" else 0.5 * (1 + math.cos(math.pi * progress)))
