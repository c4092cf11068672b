"""One SeaweedFS with its S3 gateway, on loopback, with a directory of its own."""

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from . import s3


def free_ports(count):
    """Ports that nobody listens at now. SeaweedFS takes the port + 10000 for gRPC: both are asked for."""
    found = []
    for port in range(21_000, 29_000, 7):
        if all(is_free(p) for p in (port, port + 10_000)):
            found.append(port)
            if len(found) == count:
                return found
    raise RuntimeError("no free ports")


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Server:
    """Runs between `with` and its end; the data is removed before and after."""

    def __init__(self, weed, directory):
        self.weed, self.directory = Path(weed), Path(directory)
        self.process, self.port = None, None

    def __enter__(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        master, volume, filer, self.port = free_ports(4)
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        keys = [{"accessKey": s3.ACCESS_KEY, "secretKey": s3.SECRET_KEY}]
        config = self.directory / "s3.json"
        config.write_text(json.dumps({"identities": [{"name": "bench", "credentials": keys, "actions": actions}]}))
        (self.directory / "data").mkdir()
        command = [
            self.weed, "server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self.directory / 'data'}",
            f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={self.port}",
            f"-s3.config={config}", "-volume.max=200", "-master.volumeSizeLimitMB=2048", "-master.telemetry=false",
            "-s3.port.iceberg=0", "-s3.port.lance=0",
        ]  # fmt: skip
        log = open(self.directory / "log", "wb")
        self.process = subprocess.Popen(
            [str(part) for part in command], stdout=log, stderr=log, cwd=self.directory, env=os.environ | {"HOME": str(self.directory)}
        )
        log.close()
        try:
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait(self):
        """Until a bucket can be made, at most a minute."""
        for _ in range(120):
            if self.process.poll() is not None:
                break
            try:
                s3.make_bucket(self.port, "ready")
                s3.drop_bucket(self.port, "ready")
                return
            except (OSError, RuntimeError):
                time.sleep(0.5)
        tail = (self.directory / "log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"SeaweedFS did not start:\n{tail}")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
