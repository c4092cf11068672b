#!/usr/bin/env python3
"""mediasync against rclone, s5cmd, aws-cli and s3sync where the source is a bucket, on one SeaweedFS on this machine.

    python3 benches/pulls.py [--rows pull,big,...] [--runs 5] [--files 10000] [--many 100000] [--latency 0]

Tools, corpus, server and measures are those of `peers.py`. The objects are pushed by mediasync, which leaves the mtime
of a file where rclone looks for it as well. After each run the directory, or the bucket, holds exactly the objects.

Rows:
  pull       first pull of --files objects of 1 to 100 KB
  big        first pull of one object of 1 GiB (--big, in MiB)
  flushed    the same, until what was pulled is on the disk: `sync -f` follows each tool's run and is measured with it.
             mediasync answers for what is on the disk only; the peers leave it in memory
  smallflushed  `pull` in that way
  nochange   pull over --many objects of 64 to 2048 bytes, nothing changed; each tool over a directory that it pulled itself
  copy       first copy of --files objects from one bucket into another one of the same server
"""

import os
import shutil

import peers
from lab import corpus, measure, s3, tools

ROWS = ["pull", "big", "flushed", "smallflushed", "nochange", "copy"]


def pull_command(tool, place, directory):
    """Adds and updates, from the bucket."""
    if tool.name == "mediasync":
        return [tool.program, "pull", place.url, str(directory), "--state-dir", str(place.state)]
    if tool.name == "rclone":
        return [tool.program, "copy", f"lab:{place.bucket}/{tools.PREFIX}", str(directory)]
    if tool.name == "s5cmd":
        return [tool.program, "sync", f"{place.url}/*", f"{directory}/"]
    if tool.name == "aws-cli":
        return [tool.program, "s3", "sync", place.url, str(directory)]
    return [tool.program, *s3sync_side("source", place), f"{place.url}/", f"{directory}/"]


def copy_command(tool, place, target):
    """From one bucket to the other."""
    if tool.name == "mediasync":
        return [tool.program, "mirror", place.url, target.url, "--state-dir", str(place.state)]
    if tool.name == "rclone":
        return [tool.program, "copy", f"lab:{place.bucket}/{tools.PREFIX}", f"lab:{target.bucket}/{tools.PREFIX}"]
    if tool.name == "s5cmd":
        return [tool.program, "sync", f"{place.url}/*", f"{target.url}/"]
    if tool.name == "aws-cli":
        return [tool.program, "s3", "sync", place.url, target.url]
    sides = [*s3sync_side("source", place), *s3sync_side("target", target)]
    return [tool.program, *sides, "--server-side-copy", f"{place.url}/", f"{target.url}/"]


def s3sync_side(side, place):
    keys = [f"--{side}-access-key", s3.ACCESS_KEY, f"--{side}-secret-access-key", s3.SECRET_KEY]
    return [f"--{side}-endpoint-url", place.endpoint, f"--{side}-force-path-style", *keys, f"--{side}-region", s3.REGION]


def tree(directory):
    """Names and sizes below a directory, without what mediasync keeps for itself in a bucket: others pull it, too."""
    found = {}
    for path, directories, files in os.walk(directory):
        directories[:] = [name for name in directories if name != ".mediasync"]
        for file in files:
            full = os.path.join(path, file)
            found[os.path.relpath(full, directory)] = os.stat(full).st_size
    return found


def same(directory, wanted):
    if tree(directory) != tree(wanted):
        raise measure.Failed(f"{directory} does not hold what the bucket does")


def stocked(lab, row, directory):
    """A bucket that holds `directory`, pushed without the latency."""
    ours = lab.tools[0]
    place = lab.place(row, ours)
    direct = tools.Place(lab.server_port, place.bucket, lab.work / "state" / f"{row}-stock")
    lab.fresh(direct)
    ours.measured(ours.push(directory, direct), direct)
    lab.check(direct, directory)
    return place


def state(lab, row, tool, place):
    """The bucket with a state directory of the tool's own."""
    own = tools.Place(place.port, place.bucket, lab.work / "state" / f"{row}-{tool.name}-pull")
    shutil.rmtree(own.state, ignore_errors=True)
    own.state.mkdir(parents=True)
    return own


def and_flushed(command, target):
    """The command, and then the file system of `target` written to the disk."""
    return ["/bin/sh", "-c", 'directory=$1; shift; "$@" && exec sync -f "$directory"', "sh", str(target), *command]


def touched(work, directory):
    """Has as much of the system's cache in use, and given back, as a pull of `directory` will need: memory that a virtual
    machine was not given yet costs whoever comes first, 2.6 s of CPU time for a GiB."""
    scratch, left = work / "touched", sum(tree(directory).values())
    with open(scratch, "wb") as file:
        while left > 0:
            file.write(bytes(min(left, 1 << 20)))
            left -= 1 << 20
    scratch.unlink()


def pulled_once(lab, row, title, directory, until=lambda command, _: command):
    place = stocked(lab, row, directory)
    shutil.rmtree(lab.work / "pulled", ignore_errors=True)

    def step(tool):
        def run(number):
            # A directory of its own each time, removed at the end: for half a minute ext4 searches for inodes that
            # were not freed just now, which took a third of our CPU time right after a removal.
            target = lab.work / "pulled" / f"{tool.name}-{number}"
            target.mkdir(parents=True)
            own = state(lab, row, tool, place)
            os.sync()
            touched(lab.work, directory)
            used = tool.measured(until(pull_command(tool, own, target), target), own)
            same(target, directory)
            for path, _, files in os.walk(target):
                for file in files:
                    # Its room is given back, its inode is not.
                    os.truncate(os.path.join(path, file), 0)
            return used

        return run

    done = lab.rounds(title, [(tool.name, step(tool)) for tool in lab.tools])
    shutil.rmtree(lab.work / "pulled")
    lab.drop(place)
    return [done]


def pull(lab):
    return pulled_once(lab, "pull", f"first pull, {lab.args.files} objects of 1-100 KB", peers.small(lab))


def one_big(lab):
    directory = lab.work / f"big-{lab.args.big}"
    corpus.make(directory, 1, lab.args.big << 20, lab.args.big << 20)
    return directory


def big(lab):
    return pulled_once(lab, "pullbig", f"first pull, one object of {lab.args.big} MiB", one_big(lab))


def flushed(lab):
    title = f"first pull, one object of {lab.args.big} MiB, until it is on the disk"
    return pulled_once(lab, "pullbig", title, one_big(lab), and_flushed)


def smallflushed(lab):
    title = f"first pull, {lab.args.files} objects of 1-100 KB, until they are on the disk"
    return pulled_once(lab, "pull", title, peers.small(lab), and_flushed)


def nochange(lab):
    directory = lab.work / f"many-{lab.args.many}"
    corpus.make(directory, lab.args.many, 64, 2_048)
    place = stocked(lab, "pullmany", directory)
    steps = []
    for tool in lab.tools:
        target = lab.work / "pulled" / tool.name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        own = state(lab, "pullmany", tool, place)
        # The state of mediasync belongs to an endpoint: the pull before is made the same way.
        tool.measured(pull_command(tool, own, target), own)
        same(target, directory)
        steps.append((tool.name, lambda _, tool=tool, own=own, target=target: tool.measured(pull_command(tool, own, target), own)))
    done = lab.rounds(f"pull, nothing changed, {lab.args.many} objects", steps)
    shutil.rmtree(lab.work / "pulled")
    lab.drop(place)
    return [done]


def copy(lab):
    directory = peers.small(lab)
    place = stocked(lab, "copy", directory)

    def step(tool):
        def run(_):
            target = lab.place("copied", tool)
            lab.fresh(target)
            own = state(lab, "copy", tool, place)
            used = tool.measured(copy_command(tool, own, target), own)
            lab.check(target, directory)
            lab.drop(target)
            return used

        return run

    done = lab.rounds(f"bucket to bucket, {lab.args.files} objects", [(tool.name, step(tool)) for tool in lab.tools])
    lab.drop(place)
    return [done]


def main():
    peers.run_rows(peers.options(ROWS, "pulls", __doc__), globals())


if __name__ == "__main__":
    main()
