#!/bin/sh
# Compiles both programs into the folder that is given.
set -eu
for program in simulate reduce; do cc -O2 -std=c11 -Wall -o "$1/$program" "$program.c" -lm; done
