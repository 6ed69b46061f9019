"""Metaflow: a linear flow of seven steps, run as its tutorial runs one: `python metaflow_flow.py run`."""

import steps
from metaflow import FlowSpec, step


class Cycle(FlowSpec):
    @step
    def start(self):
        steps.run(1)
        self.next(self.step2)

    @step
    def step2(self):
        steps.run(2)
        self.next(self.step3)

    @step
    def step3(self):
        steps.run(3)
        self.next(self.step4)

    @step
    def step4(self):
        steps.run(4)
        self.next(self.step5)

    @step
    def step5(self):
        steps.run(5)
        self.next(self.step6)

    @step
    def step6(self):
        steps.run(6)
        self.next(self.end)

    @step
    def end(self):
        steps.run(7)


if __name__ == "__main__":
    Cycle()
