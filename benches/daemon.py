#!/usr/bin/env python3
"""The daemon against what people run today to the same end, on one SeaweedFS on this machine.

    python3 benches/daemon.py [--rows latency,watches,memory] [--seconds 20] [--rate 50] [--files 100000]

Rows:
  latency  from close() of a 10 KB file to the object being visible, at --rate new files a second for --seconds. Against
           `inotifywait -m` with a copy an event (rclone copyto, aws s3 cp), and lsyncd with its shortest delay and a
           copy of the directory (rclone copy, aws s3 sync). Visible means that a HEAD (few outstanding) or a listing
           (many) shows it; asked every 2 ms, so that much is the measure's own
  watches  from the start of the daemon until all watches are set on --files files, 100 a directory, against
           `find -printf '%p %s %T@'`, both over a tree in memory; five rounds, in turn
  memory   resident memory of that daemon, idle, 10 s after everything is in the bucket

Peers need `apt-get install inotify-tools lsyncd`; what is not there is left out, and said. A peer that has not shown
all files 60 s after the last one was written shows its rest as missing.
"""

import argparse
import json
import os
import queue
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import peers
from lab import corpus, measure, report, s3, tools
from lab.server import Server

ROWS = ["latency", "watches", "memory"]
SIZE = 10_000
PATIENCE = 60


class Visible:
    """Finds out when objects are there."""

    def __init__(self, port, bucket, prefix):
        self.port, self.bucket, self.prefix = port, bucket, prefix
        self.outstanding, self.seen, self.fresh = {}, {}, queue.SimpleQueue()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def closed(self, name, at):
        self.fresh.put((name, at))

    def look(self):
        while not self.stopped.is_set():
            while not self.fresh.empty():
                name, at = self.fresh.get()
                self.outstanding[name] = at
            if len(self.outstanding) <= 4:
                for name in list(self.outstanding):
                    status, _ = s3.request(self.port, "HEAD", f"/{self.bucket}/{self.prefix}/{name}")
                    if status == 200:
                        self.shown(name)
            else:
                for key in s3.listing(self.port, self.bucket, f"{self.prefix}/"):
                    self.shown(key[len(self.prefix) + 1 :])
            time.sleep(0.002)

    def shown(self, name):
        closed = self.outstanding.pop(name, None)
        if closed is not None:
            self.seen[name] = time.monotonic() - closed

    def wait(self, count):
        limit = time.monotonic() + PATIENCE
        while len(self.seen) < count and time.monotonic() < limit:
            time.sleep(0.05)
        self.stopped.set()
        self.thread.join()
        return sorted(self.seen.values())


def config(work, name, directory, place, extra=""):
    path = work / f"{name}.toml"
    path.write_text(
        f'[state]\ndir = "{place.state}"\n[remote.lab]\nurl = "{place.url}"\nendpoint = "{place.endpoint}"\nregion = "{s3.REGION}"\n'
        f'[[job]]\nname = "bench"\nsource = "{directory}"\ndestination = "lab:"\nmode = "copy"\ndelete = true\nwatch = true\n{extra}'
    )
    return path


class Ours:
    name = "mediasync"

    def __init__(self, lab, directory, place):
        ours = lab.tools["mediasync"]
        command = [ours.program, "daemon", "--config", str(config(lab.work, "latency", directory, place)), "--log-format", "json"]
        self.process = subprocess.Popen(command, env=ours.env(place), stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


class Events:
    """`inotifywait -m` and a copy an event, as scripts on the web have it."""

    def __init__(self, lab, directory, place, tool, copy):
        script = f"inotifywait -m -q -r -e close_write -e moved_to --format '%w%f' '{directory}' | while read -r file; do {copy}; done"
        env = lab.tools[tool].env(place)
        self.process = subprocess.Popen(["/bin/bash", "-c", script], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def stop(self):
        os.killpg(self.process.pid, 15)
        self.process.wait(60)


class Lsyncd(Events):
    """lsyncd with a delay of a second, its shortest, and a copy of the directory for each batch."""

    def __init__(self, lab, directory, place, tool, copy):
        path = lab.work / "lsyncd.lua"
        path.write_text(
            f'settings {{ nodaemon = true, insist = true }}\nsync {{ delay = 1, maxProcesses = 1, source = "{directory}",\n'
            f'  onAttrib = "true", onDelete = "true",\n  onCreate = "{copy}", onModify = "{copy}", onMove = "{copy}" }}\n'
        )
        self.process = subprocess.Popen(["lsyncd", str(path)], env=lab.tools[tool].env(place), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def contenders(lab, directory, place):
    rclone, aws = (lab.tools[name].program if name in lab.tools else None for name in ("rclone", "aws-cli"))
    below = f"{place.bucket}/{tools.PREFIX}"
    yield "mediasync", lambda: Ours(lab, directory, place)
    if shutil.which("inotifywait"):
        if rclone:
            yield "inotifywait + rclone copyto", lambda: Events(lab, directory, place, "rclone", f'{rclone} copyto "$file" "lab:{below}/${{file#{directory}/}}"')
        if aws:
            yield "inotifywait + aws s3 cp", lambda: Events(lab, directory, place, "aws-cli", f'{aws} s3 cp "$file" "s3://{below}/${{file#{directory}/}}"')
    else:
        print("  inotifywait is not installed", flush=True)
    if shutil.which("lsyncd"):
        if rclone:
            yield "lsyncd + rclone copy", lambda: Lsyncd(lab, directory, place, "rclone", f"{rclone} copy {directory} lab:{below}")
        if aws:
            yield "lsyncd + aws s3 sync", lambda: Lsyncd(lab, directory, place, "aws-cli", f"{aws} s3 sync {directory} s3://{below}")
    else:
        print("  lsyncd is not installed", flush=True)


def latency(lab):
    args, found = lab.args, {}
    body = os.urandom(SIZE)
    place = lab.place("latency")
    for name, begin in contenders(lab, lab.work / "watched", place):
        if args.only and not name.startswith(args.only):
            continue
        directory = lab.work / "watched"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        (directory / "first").write_bytes(b"1")
        lab.fresh(place)
        tool = begin()
        try:
            # It has to run and watch: what is written from now on is seen.
            time.sleep(3)
            visible = Visible(lab.port, place.bucket, tools.PREFIX)
            began, count = time.monotonic(), args.rate * args.seconds
            for number in range(count):
                time.sleep(max(0.0, began + number / args.rate - time.monotonic()))
                file = directory / f"photo-{number:05}.jpg"
                with open(file, "wb") as handle:
                    handle.write(body)
                visible.closed(file.name, time.monotonic())
            times = visible.wait(count)
        finally:
            tool.stop()
        at = lambda share: round(times[min(len(times) - 1, int(len(times) * share))] * 1000, 1) if times else None
        found[name] = {"files": count, "shown": len(times), "median_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1), "load": report.load()}
        print(f"  {name:28} {found[name]}", flush=True)
    lab.drop(place)
    return {"title": f"from close() to visible, {args.rate} files of 10 KB a second for {args.seconds} s", "tools": found}


def big_tree(lab):
    directory = lab.work / f"watched-{lab.args.files}"
    corpus.make(directory, lab.args.files, 64, 2_048)
    corpus.warm(directory)
    return directory


def started(lab, directory, place):
    """A daemon over it, and how long it took until all watches were set."""
    ours = lab.tools["mediasync"]
    command = [ours.program, "daemon", "-v", "--config", str(config(lab.work, "watches", directory, place)), "--log-format", "json"]
    began = time.monotonic()
    process = subprocess.Popen(command, env=ours.env(place), stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "watching" in line:
            break
    else:
        raise measure.Failed("the daemon ended")
    took = time.monotonic() - began
    # What it logs besides has to go somewhere.
    threading.Thread(target=lambda: [None for _ in process.stderr], daemon=True).start()
    return process, took


def watches(lab):
    directory, place = big_tree(lab), lab.place("watches")
    lab.fresh(place)
    ours, find = [], []
    for _ in range(5):
        began = time.monotonic()
        subprocess.run(["find", str(directory), "-printf", "%p %s %T@\\n"], stdout=subprocess.DEVNULL, check=True)
        find.append(time.monotonic() - began)
        process, took = started(lab, directory, place)
        process.kill()
        process.wait()
        ours.append(took)
    lab.drop(place)
    result = {"mediasync_s": round(statistics.median(ours), 3), "find_s": round(statistics.median(find), 3), "samples": [ours, find], "load": report.load()}
    result["ratio"] = round(result["mediasync_s"] / result["find_s"], 2)
    print(f"  {result}", flush=True)
    return {"title": f"from the start until all watches are set, {lab.args.files} files, 100 a directory", "tools": {"mediasync": result}}


def memory(lab):
    directory, place = big_tree(lab), lab.place("memory")
    lab.fresh(place)
    ours = lab.tools["mediasync"]
    ours.measured(ours.push(directory, place), place)
    process, _ = started(lab, directory, place)
    try:
        time.sleep(10)
        kb = int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1])
    finally:
        process.terminate()
        process.wait(60)
    lab.drop(place)
    print(f"  {kb / 1024:.1f} MB", flush=True)
    return {"title": f"idle, {lab.args.files} files watched, 100 a directory", "tools": {"mediasync": {"rss_mb": round(kb / 1024, 1), "load": report.load()}}}


class Lab:
    def __init__(self, args, port, found, work):
        self.args, self.port, self.work = args, port, work
        self.tools = {tool.name: tool for tool in found}

    def place(self, row):
        return tools.Place(self.port, f"daemon-{row}", self.work / "state" / f"daemon-{row}")

    def fresh(self, place):
        s3.make_bucket(self.port, place.bucket)
        shutil.rmtree(place.state, ignore_errors=True)
        place.state.mkdir(parents=True)

    def drop(self, place):
        s3.drop_bucket(self.port, place.bucket)


def write(directory, name, facts, rows):
    """`NAME.json` with every sample, `NAME.md` with the numbers."""
    (directory / f"{name}.json").write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")
    where = facts["machine"]
    lines = [f"# {name}", "", f"`{facts['command']}`, commit {facts['commit']}; {where['cpu']}, {where['cores']} cores, {where['memory_gb']} GB, {where['system']}."]
    for row in rows:
        numbers = [number for number in next(iter(row["tools"].values())) if number != "samples"]
        lines += ["", f"## {row['title']}", "", f"| tool | {' | '.join(numbers)} |", f"|---|{'---:|' * len(numbers)}"]
        for tool, found in row["tools"].items():
            lines.append(f"| {tool} | {' | '.join(str(found.get(number, '')) for number in numbers)} |")
    lines += ["", *(f"- {tool}: {version}" for tool, version in facts["versions"].items())]
    (directory / f"{name}.md").write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rate", type=int, default=50, help="files a second")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--only", default="", help="of the row latency: tools whose names begin so")
    parser.add_argument("--name", default="daemon", help="of the file in benches/results")
    parser.add_argument("--work", default=str(peers.ROOT / "target"))
    parser.add_argument("--bin", default="", help="directory of built programs; nothing is built then")
    args = parser.parse_args()
    work = Path(args.work) / "bench"
    (work / "home").mkdir(parents=True, exist_ok=True)
    found, _, weed = tools.all_tools(args.work, peers.built(args), work / "home", ["rclone", "aws-cli"])
    rows = []
    with Server(weed, work / "server") as server:
        lab = Lab(args, server.port, found, work)
        for row in args.rows.split(","):
            print(row, flush=True)
            rows.append(globals()[row](lab))
            facts = {"command": " ".join(["python3 benches/daemon.py", *sys.argv[1:]]), "machine": report.machine(), "commit": report.commit()}
            facts["versions"] = {tool.name: tool.version() for tool in found}
            write(peers.ROOT / "benches" / "results", args.name, facts, rows)


if __name__ == "__main__":
    main()
