"""Dagster: a graph of seven ops one after the other, as two jobs: in process and multiprocess."""

import steps
from dagster import In, Nothing, graph, in_process_executor, multiprocess_executor, op


def numbered(number: int):
    @op(name=f"step{number}", ins={} if number == 1 else {"after": In(Nothing)})
    def run() -> None:
        steps.run(number)

    return run


ops = [numbered(number) for number in range(1, steps.COUNT + 1)]


@graph
def cycle():
    last = ops[0]()
    for one in ops[1:]:
        last = one(last)


in_process = cycle.to_job(name="in_process", executor_def=in_process_executor)
multiprocess = cycle.to_job(name="multiprocess", executor_def=multiprocess_executor)
