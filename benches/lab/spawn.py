"""Runs one command and prints what the kernel accounted for it, as JSON.

A process inherits the peak memory of whoever forks it. So this is a program of its own: a Python that imported next to
nothing (about 8 MB, the smallest peak it can report) forks, the child becomes the command, and `wait4` tells.

    python3 -I -S spawn.py ERRORS COMMAND...     standard error goes to the file ERRORS, standard output nowhere
"""

import os
import sys
import time


def main():
    errors = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open("/dev/null", os.O_RDWR)
    begin = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        os.dup2(errors, 2)
        try:
            os.execvp(sys.argv[2], sys.argv[2:])
        finally:
            os._exit(127)
    _, status, used = os.wait4(pid, 0)
    wall = time.perf_counter() - begin
    code = os.waitstatus_to_exitcode(status)
    # ru_maxrss is in KiB on Linux.
    print(
        f'{{"wall": {wall:.4f}, "cpu": {used.ru_utime + used.ru_stime:.4f}, '
        f'"rss_mb": {used.ru_maxrss * 1024 / 1e6:.1f}, "code": {code}}}'
    )


main()
