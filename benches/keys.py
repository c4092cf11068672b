#!/usr/bin/env python3
"""Peak memory of mediasync by the number of keys.

    python3 benches/keys.py [--counts 100000,1000000] [--trees /dev/shm/mediasync-keys] [--bin DIRECTORY]

Empty files on a file system in memory against a stub of a bucket that holds the same keys (`lab/stub.py`). The first
run finds both sides equal and records it; the run after that, in which nothing changed, is the one that counts.
"""

import argparse
import json
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

from lab import corpus, measure, report, tools
from peers import ROOT, built


def stub(count):
    """A process with a bucket of `count` keys, and its port."""
    command = [sys.executable, str(Path(__file__).parent / "lab" / "stub.py"), str(count), f"{tools.PREFIX}/"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, int(process.stdout.readline())


def requests(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/requests") as answer:
        return json.load(answer)


def row(count, tool, work, trees):
    """First run and no-change run over `count` keys."""
    directory = Path(trees) / str(count)
    shutil.rmtree(directory, ignore_errors=True)
    state = work / "state" / f"keys-{count}"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    process, port = stub(count)
    rows = []
    try:
        corpus.empty(directory, count)
        corpus.write(directory / "keep.txt", 4, "keep", corpus.EPOCH_2024)
        place = tools.Place(port, "keys", state)
        for title in ("both sides equal, nothing recorded", "nothing changed"):
            before = requests(port)
            used = tool.measured(tool.push(directory, place), place)
            made = {kind: number - before.get(kind, 0) for kind, number in requests(port).items()}
            print(f"{count} keys, {title}: {used} {made}", flush=True)
            if made.get("list", 0) < count // 1000 or made.get("put", 0) > 100:
                raise RuntimeError(f"these are not the requests of such a run: {made}")
            rows.append(
                {
                    "title": f"{count} keys, {title}",
                    "requests": made,
                    "tools": {tool.name: {"samples": [used], "median": used}},
                }
            )
        for name, command in tool.alone(directory, place, work):
            used = measure.median([measure.run(command, tool.env(place)) for _ in range(3)])
            print(f"{count} keys, {name}: {used}", flush=True)
            rows[-1]["tools"][name] = {"samples": [used], "median": used}
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="100000,1000000")
    parser.add_argument("--trees", default="/dev/shm/mediasync-keys", help="where the files are made")
    parser.add_argument("--work", default=str(ROOT / "target"))
    parser.add_argument("--name", default="keys", help="of the files in benches/results")
    parser.add_argument("--bin", default="", help="directory of the built program; nothing is built then")
    args = parser.parse_args()
    work = Path(args.work) / "bench"
    (work / "home").mkdir(parents=True, exist_ok=True)
    tool = tools.Mediasync(built(args), work / "home")
    facts = {"command": " ".join(["python3 benches/keys.py", *sys.argv[1:]]), "versions": {tool.name: tool.version()}}
    rows = []
    for count in args.counts.split(","):
        rows += row(int(count), tool, work, args.trees)
    print(report.write(ROOT / "benches" / "results", args.name, facts, rows))


if __name__ == "__main__":
    main()
