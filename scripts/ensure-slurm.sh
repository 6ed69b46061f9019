#!/usr/bin/env bash
# Real Slurm for the tests (test:hpc) and the HPC benchmark, and Open MPI.
exec bash "$(dirname "$0")/ensure-debian-packages.sh" slurmctld slurmd slurm-client slurmrestd \
  slurm-wlm-basic-plugins slurm-wlm-jwt-plugin munge openmpi-bin libopenmpi-dev
