#!/usr/bin/env python3
"""mediasync against rclone on one Azurite on this machine.

    SERVERS=azurite scripts/servers run python3 benches/azure.py [--rows push,pull,...] [--runs 5] [--files 2000]

Azurite is Microsoft's emulator of Azure Blob Storage, a program of Node.js: it takes most of the time of every row, and
what a row says is how much work a tool gives to itself and to the server. Tools, corpus and measures are those of
`peers.py`. After each run both sides hold the same names and sizes.

Rows:
  push       first push of --files files of 1 to 100 KB
  pull       first pull of them
  nochange   pull, nothing changed
  bigpush    first push of one file of --big MiB
  bigpull    first pull of it
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, unquote

import peers
from lab import corpus, measure, report, tools
from pulls import tree

ROWS = ["push", "pull", "nochange", "bigpush", "bigpull"]
ADDRESS = re.compile(r"azurite=http://([^:]+):([^@]+)@([^/]+)/(.+)")


class Azure:
    """The server, and a place of its own for each tool and row."""

    def __init__(self, args, work):
        self.args, self.work = args, work
        found, _, _ = tools.all_tools(args.work, peers.built(args), work / "home")
        self.tools = [tool for tool in found if tool.name in ("mediasync", "rclone")]
        match = ADDRESS.fullmatch(os.environ.get("MEDIASYNC_TEST_AZURE", ""))
        if not match:
            sys.exit("no server: run this by `SERVERS=azurite scripts/servers run`")
        self.account, self.key, self.host, self.container = match[1], unquote(match[2]), match[3], match[4]
        self.endpoint = f"http://{self.host}/{self.account}"

    def env(self, tool):
        settings = {"TYPE": "azureblob", "ACCOUNT": self.account, "KEY": self.key, "ENDPOINT": self.endpoint}
        dropped = re.compile("(AWS|AZURE|RCLONE|MEDIASYNC)_")
        kept = {name: value for name, value in os.environ.items() if not dropped.match(name)}
        return kept | {"HOME": str(tool.home)} | {f"RCLONE_CONFIG_LAB_{name}": value for name, value in settings.items()}

    def place(self, tool, prefix):
        if tool.name == "rclone":
            return f"lab:{self.container}/{prefix}"
        secret, endpoint = quote(self.key, safe=""), quote(self.endpoint, safe="")
        return f"az://{self.account}:{secret}@azure/{self.container}/{prefix}?endpoint={endpoint}"

    def state(self, name):
        return self.work / "state" / f"azure-{name}"

    def transfer(self, tool, prefix, directory, way, name):
        """Adds and updates."""
        place = self.place(tool, prefix)
        sides = [str(directory), place] if way == "push" else [place, str(directory)]
        if tool.name == "rclone":
            return measure.run([tool.program, "copy", *sides], self.env(tool))
        # A DSN with its key does not belong into a command line.
        sides = ["env:PLACE" if side == place else side for side in sides]
        command = [tool.program, way, *sides, "--state-dir", str(self.state(name))]
        return measure.run(command, self.env(tool) | {"PLACE": place})

    def clear(self, prefix):
        self.script("clear", prefix)

    def script(self, what, prefix):
        script = str(peers.ROOT / "scripts" / "container.py")
        python = os.environ["MEDIASYNC_TEST_PYTHON"]
        env = os.environ | {"AZURE_STORAGE_KEY": self.key}
        subprocess.run([python, script, what, self.endpoint, self.container, f"{prefix}/"], env=env, check=True)

    def fresh(self, name):
        shutil.rmtree(self.state(name), ignore_errors=True)
        self.state(name).mkdir(parents=True)

    def rounds(self, title, step):
        print(title, flush=True)
        row = {"title": title, "load": [report.load()], "tools": {tool.name: {"samples": []} for tool in self.tools}}
        for number in range(self.args.runs):
            for tool in self.tools:
                os.sync()
                used = step(tool)
                row["tools"][tool.name]["samples"].append(used)
                print(f"  {number} {tool.name:12} {used['wall']:8.2f} s {used['cpu']:8.2f} s {used['rss_mb']:7.0f} MB", flush=True)
        for result in row["tools"].values():
            result["median"] = measure.median(result["samples"])
        row["load"].append(report.load())
        return row


def target_of(lab, tool):
    target = lab.work / "pulled" / f"azure-{tool.name}"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    return target


def pushed(lab, title, directory):
    def step(tool):
        prefix = f"push-{tool.name}"
        lab.clear(prefix)
        lab.fresh(prefix)
        corpus.warm(directory)
        used = lab.transfer(tool, prefix, directory, "push", prefix)
        target = target_of(lab, tool)
        rclone = lab.tools[-1]
        lab.transfer(rclone, prefix, target, "pull", "check")
        same(target, directory)
        lab.clear(prefix)
        return used

    return lab.rounds(title, step)


def stocked(lab, directory):
    prefix = f"stock-{directory.name}"
    lab.clear(prefix)
    lab.fresh(prefix)
    lab.transfer(lab.tools[0], prefix, directory, "push", prefix)
    return prefix


def pulled(lab, title, directory):
    prefix = stocked(lab, directory)

    def step(tool):
        name = f"pull-{tool.name}"
        lab.fresh(name)
        target = target_of(lab, tool)
        used = lab.transfer(tool, prefix, target, "pull", name)
        same(target, directory)
        shutil.rmtree(target)
        return used

    return lab.rounds(title, step)


def same(directory, wanted):
    if tree(directory) != tree(wanted):
        raise measure.Failed(f"{directory} does not hold what {wanted} does")


def push(lab):
    return pushed(lab, f"Azurite: first push, {lab.args.files} files of 1-100 KB", peers.small(lab))


def pull(lab):
    return pulled(lab, f"Azurite: first pull, {lab.args.files} blobs of 1-100 KB", peers.small(lab))


def nochange(lab):
    directory = peers.small(lab)
    prefix = stocked(lab, directory)
    targets = {}
    for tool in lab.tools:
        lab.fresh(f"again-{tool.name}")
        targets[tool.name] = target_of(lab, tool)
        lab.transfer(tool, prefix, targets[tool.name], "pull", f"again-{tool.name}")
        same(targets[tool.name], directory)

    def step(tool):
        return lab.transfer(tool, prefix, targets[tool.name], "pull", f"again-{tool.name}")

    return lab.rounds(f"Azurite: pull, nothing changed, {lab.args.files} blobs", step)


def large(lab):
    directory = lab.work / f"big-{lab.args.big}"
    corpus.make(directory, 1, lab.args.big << 20, lab.args.big << 20)
    return directory


def bigpush(lab):
    return pushed(lab, f"Azurite: first push, one file of {lab.args.big} MiB", large(lab))


def bigpull(lab):
    return pulled(lab, f"Azurite: first pull, one blob of {lab.args.big} MiB", large(lab))


def main():
    args = peers.options(ROWS, "azure", __doc__, files=2_000, big=256)
    work = Path(args.work) / "bench"
    (work / "home").mkdir(parents=True, exist_ok=True)
    lab = Azure(args, work)
    facts = {
        "command": " ".join(["SERVERS=azurite scripts/servers run python3 benches/azure.py", *sys.argv[1:]]),
        "versions": {tool.name: tool.version() for tool in lab.tools},
    }
    rows = []
    for row in args.rows.split(","):
        rows.append(globals()[row](lab))
        text = report.write(peers.ROOT / "benches" / "results", args.name or "azure", facts, rows)
    shutil.rmtree(work / "state", ignore_errors=True)
    shutil.rmtree(work / "pulled", ignore_errors=True)
    print(f"\n{text}")


if __name__ == "__main__":
    main()
