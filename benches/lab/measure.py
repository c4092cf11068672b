"""Measures commands: wall time, CPU time (user and system, with children), peak memory of the largest process."""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SPAWN = Path(__file__).with_name("spawn.py")
KINDS = ("wall", "cpu", "rss_mb")


class Failed(Exception):
    """A command ended otherwise than it had to."""


def run(command, env, codes=(0,)):
    """Runs `command` once. Its output goes nowhere, as in a cron job; an exit code not in `codes` is an error."""
    with tempfile.NamedTemporaryFile() as errors:
        launcher = [sys.executable, "-I", "-S", str(SPAWN), errors.name]
        out = subprocess.run(launcher + command, env=env, stdout=subprocess.PIPE, check=True)
        used = json.loads(out.stdout)
        if used.pop("code") not in codes:
            tail = Path(errors.name).read_bytes()[-2000:].decode(errors="replace")
            raise Failed(f"{' '.join(command)}\n{tail}")
    return used


def total(parts):
    """The sum of commands that ran one after the other; memory is that of the largest."""
    return {
        "wall": sum(part["wall"] for part in parts),
        "cpu": sum(part["cpu"] for part in parts),
        "rss_mb": max(part["rss_mb"] for part in parts),
    }


def median(samples):
    """The median of each number on its own."""
    return {kind: statistics.median(sample[kind] for sample in samples) for kind in KINDS}
