#!/usr/bin/env bash
# Real Slurm for the tests (test:hpc) and the HPC benchmark, and Open MPI: Debian's and Ubuntu's packages. Nothing is
# started and no service is configured: the tests bring their own configuration, keys and ports. Needs root. Quiet when all
# is there.
set -euo pipefail
packages=(slurmctld slurmd slurm-client slurmrestd slurm-wlm-basic-plugins slurm-wlm-jwt-plugin munge
  openmpi-bin libopenmpi-dev)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
echo "installing ${missing[*]}"
# In a container there is no init system to start daemons; elsewhere the packages' own services would take the ports.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
