"""Runs the Dagster jobs in a process that has loaded everything, with an instance on disk (DAGSTER_HOME), and answers one
line on stdout for each line on stdin: `run JOB` → seconds; `recover JOB` → seconds, after the two things that a person has
to do when the process of a run was killed: mark the run as failed (nobody noticed), then run again from the failure."""

import json
import sys
import time

import dagster_job
from dagster import DagsterInstance, DagsterRunStatus, ReexecutionOptions, RunsFilter, execute_job, reconstructable

JOBS = {"in_process": dagster_job.in_process, "multiprocess": dagster_job.multiprocess}


def in_process():
    return dagster_job.in_process


def multiprocess():
    return dagster_job.multiprocess


REBUILT = {"in_process": reconstructable(in_process), "multiprocess": reconstructable(multiprocess)}


def main() -> None:
    with DagsterInstance.get() as instance:
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            order, name = line.split()
            started = time.perf_counter()
            options = None
            if order == "recover":
                (run,) = instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED]))
                instance.report_run_failed(run)
                options = ReexecutionOptions.from_failure(run.run_id, instance)
            with execute_job(REBUILT[name], instance=instance, reexecution_options=options) as result:
                success = result.success
            print(json.dumps({"seconds": time.perf_counter() - started, "success": success}), flush=True)


if __name__ == "__main__":
    main()
