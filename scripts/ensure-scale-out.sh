#!/usr/bin/env bash
# PostgreSQL and `ip` for test:scale-out.
exec bash "$(dirname "$0")/ensure-debian-packages.sh" iproute2 postgresql util-linux
