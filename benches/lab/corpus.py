"""Deterministic trees of files. The same arguments give the same names, sizes, bytes and mtimes on every machine.

Directories are numbered and no name is the beginning of another one, so that every server lists them in key order.
Modification times lie in 2024: none is young, and every object is newer than its file.
"""

import os
import random
import shutil
from pathlib import Path

EPOCH_2024 = 1_704_067_200
PER_ALBUM = 100
PER_YEAR = 1000


def name(number):
    """The key of a file."""
    return f"year-{number // PER_YEAR:04}/album-{number // PER_ALBUM:05}/image-{number:07}.jpg"


def sizes(count, low, high, seed):
    """`count` sizes, evenly distributed."""
    chance = random.Random(seed)
    return [chance.randint(low, high) for _ in range(count)]


def make(root, count, low, high, seed=1):
    """Makes `count` files of `low` to `high` bytes below `root`, unless a finished one is there. Returns their bytes."""
    root = Path(root)
    total = sum(sizes(count, low, high, seed))
    mark = root.with_name(root.name + ".made")
    label = f"{count} {low} {high} {seed}"
    if mark.exists() and mark.read_text() == label:
        return total
    shutil.rmtree(root, ignore_errors=True)
    for number, size in enumerate(sizes(count, low, high, seed)):
        path = root / name(number)
        if number % PER_ALBUM == 0:
            path.parent.mkdir(parents=True)
        write(path, size, f"{seed}/{number}", EPOCH_2024 + number)
    mark.write_text(label)
    return total


def write(path, size, seed, mtime):
    """One file."""
    chance = random.Random(seed)
    with open(path, "wb") as file:
        left = size
        while left > 0:
            piece = min(left, 1 << 24)
            file.write(chance.randbytes(piece))
            left -= piece
    os.utime(path, (mtime, mtime))


def warm(root):
    """Reads everything once: nobody is measured with a colder cache than the others."""
    for path, _, files in os.walk(root):
        for file in files:
            with open(os.path.join(path, file), "rb", buffering=0) as opened:
                while opened.read(1 << 20):
                    pass


def empty(root, count):
    """Makes `count` empty files, for listings."""
    root = Path(root)
    for number in range(count):
        path = root / name(number)
        if number % PER_ALBUM == 0:
            path.parent.mkdir(parents=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
