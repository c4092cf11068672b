"""Uploads a directory with somebody else's tool, as that tool does by itself: for tests/it/live/foreign.rs.

  foreign.py TOOL ENDPOINT BUCKET PREFIX DIRECTORY     TOOL is aws, rclone, s3cmd, s5cmd or boto3

and puts an empty object `FOLDER/` for each directory, as consoles and file managers do. Exits with 77 where the tool is
not installed beside this Python. Credentials come from the AWS variables.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import boto3
from botocore.config import Config

MISSING = 77


def client(endpoint):
    config = Config(s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=60)
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config)


def program(name):
    found = Path(sys.executable).parent / name
    if not found.exists():
        print(f"{name} is not installed", file=sys.stderr)
        sys.exit(MISSING)
    return str(found)


def run(home, *command, **environment):
    # Nothing of the user's own settings.
    own = {"HOME": home, "AWS_CONFIG_FILE": f"{home}/none", "AWS_SHARED_CREDENTIALS_FILE": f"{home}/none"}
    subprocess.run(command, env={**os.environ, **own, **environment}, stdout=subprocess.DEVNULL, check=True)


def aws(home, endpoint, bucket, prefix, directory):
    target = f"s3://{bucket}/{prefix}"
    run(home, program("aws"), "--endpoint-url", endpoint, "s3", "cp", "--recursive", "--only-show-errors", directory, target)


def rclone(home, endpoint, bucket, prefix, directory):
    # It sends up to 200 MiB in one request otherwise; the size of its parts is its own.
    options = ["--s3-upload-cutoff=10M", "--s3-no-check-bucket", f"--config={home}/none", "--transfers=8"]
    target = f":s3,provider=Other,env_auth=true,endpoint='{endpoint}':{bucket}/{prefix}"
    run(home, program("rclone"), "copy", *options, directory, target)


def s3cmd(home, endpoint, bucket, prefix, directory):
    host = endpoint.removeprefix("http://")
    keys = [f"--access_key={os.environ['AWS_ACCESS_KEY_ID']}", f"--secret_key={os.environ['AWS_SECRET_ACCESS_KEY']}"]
    options = [f"--config={home}/none", f"--host={host}", f"--host-bucket={host}", "--no-ssl", "--no-progress", "--quiet"]
    Path(home, "none").write_text("[default]\nsignature_v2 = False\n")
    run(home, program("s3cmd"), *options, *keys, "put", "--recursive", f"{directory}/", f"s3://{bucket}/{prefix}")


def s5cmd(home, endpoint, bucket, prefix, directory):
    target = f"s3://{bucket}/{prefix}"
    run(home, program("s5cmd"), "--endpoint-url", endpoint, "cp", f"{directory}/", target, AWS_REGION="us-east-1")


def with_boto3(_home, endpoint, bucket, prefix, directory):
    s3 = client(endpoint)
    for path in sorted(Path(directory).rglob("*")):
        if path.is_file():
            s3.upload_file(str(path), bucket, prefix + path.relative_to(directory).as_posix())


def main():
    tools = {"aws": aws, "rclone": rclone, "s3cmd": s3cmd, "s5cmd": s5cmd, "boto3": with_boto3}
    if len(sys.argv) != 6 or sys.argv[1] not in tools:
        sys.exit(__doc__)
    tool, endpoint, bucket, prefix, directory = sys.argv[1:]
    with tempfile.TemporaryDirectory() as home:
        tools[tool](home, endpoint, bucket, prefix, directory)
    s3 = client(endpoint)
    for path in Path(directory).rglob("*"):
        if path.is_dir():
            s3.put_object(Bucket=bucket, Key=f"{prefix}{path.relative_to(directory).as_posix()}/", Body=b"")


main()
