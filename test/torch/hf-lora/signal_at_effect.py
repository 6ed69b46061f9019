"""Runs the recipe and sends it a signal at its n-th effect of one kind, so that "killed at this very write" is a fact and not
a race. Effects are what a death could tear: lines on stdout, written, synced, renamed and removed files. A write is torn: half
of its bytes are written before the signal."""

import builtins
import os
import pathlib
import runpy
import sys

wanted, nth = os.environ["SIGNAL_AT_EFFECT"].split(":")
number = int(os.environ["SIGNAL"])
met = 0


def is_now(kind):
    global met
    met += kind == wanted
    return kind == wanted and met == int(nth)


def before(kind, function):
    def patched(*args, **options):
        if is_now(kind):
            os.kill(os.getpid(), number)
        return function(*args, **options)

    return patched


def opened(open_path):
    def patched(self, mode="r", *args, **options):
        file = open_path(self, mode, *args, **options)
        if mode == "wb":
            return Torn(file)
        return file

    return patched


class Torn:
    def __init__(self, file):
        self._file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def __getattr__(self, name):
        return getattr(self._file, name)

    def write(self, content):
        if is_now("write"):
            self._file.write(content[: len(content) // 2])
            self._file.flush()
            os.kill(os.getpid(), number)
        return self._file.write(content)


def printed(*args, **options):
    original_print(*args, **options)
    if options.get("file") is None and is_now("line"):
        os.kill(os.getpid(), number)


original_print = builtins.print
builtins.print = printed
os.fsync = before("sync", os.fsync)
os.replace = before("rename", os.replace)
pathlib.Path.unlink = before("rm", pathlib.Path.unlink)
pathlib.Path.open = opened(pathlib.Path.open)
program = sys.argv[1]
sys.path[0] = os.path.dirname(program)
runpy.run_path(program, run_name="__main__")
