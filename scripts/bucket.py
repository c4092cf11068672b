"""A bucket as boto3 sees it: for the tests, independent of the program under test.

  bucket.py create ENDPOINT BUCKET SECONDS   makes the bucket and stores an object, trying for so long
  bucket.py show ENDPOINT BUCKET PREFIX      prints one JSON object: everything below the prefix, and unfinished uploads
  bucket.py parts ENDPOINT BUCKET PREFIX     prints how many parts unfinished uploads have in all
  bucket.py put ENDPOINT BUCKET KEY          stores standard input under a key
  bucket.py clear ENDPOINT BUCKET PREFIX     removes everything below the prefix, unfinished uploads too

Credentials come from the AWS variables.
"""

import hashlib
import json
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def client(endpoint, attempts=5):
    retries = {"total_max_attempts": attempts, "mode": "standard"}
    config = Config(s3={"addressing_style": "path"}, retries=retries, connect_timeout=5, read_timeout=60)
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config)


def create(endpoint, bucket, seconds):
    s3, until = client(endpoint, attempts=1), time.monotonic() + float(seconds)
    while True:
        try:
            if bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
                s3.create_bucket(Bucket=bucket)
            # A server may answer before it can store.
            s3.put_object(Bucket=bucket, Key="ready", Body=b"ready")
            s3.delete_object(Bucket=bucket, Key="ready")
            return
        except Exception as error:
            if time.monotonic() > until:
                sys.exit(f"{endpoint} is not ready: {error}")
            time.sleep(0.2)


def objects_of(s3, bucket, prefix):
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])


def uploads_of(s3, bucket, prefix):
    try:
        found = s3.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads") or []
    except s3.exceptions.ClientError as error:
        # SeaweedFS, where the bucket never had one.
        if error.response["Error"]["Code"] != "NoSuchUpload":
            raise
        found = []
    for upload in found:
        if upload["Key"].startswith(prefix):
            yield upload


def show(endpoint, bucket, prefix):
    s3, objects = client(endpoint), {}
    for listed in objects_of(s3, bucket, prefix):
        got = s3.get_object(Bucket=bucket, Key=listed["Key"])
        digest, size = hashlib.sha256(), 0
        for chunk in got["Body"].iter_chunks(1 << 20):
            digest.update(chunk)
            size += len(chunk)
        assert size == listed["Size"], f"{listed['Key']}: {size} bytes were read, {listed['Size']} are listed"
        objects[listed["Key"]] = {
            "size": size,
            "sha256": digest.hexdigest(),
            "etag": listed["ETag"].strip('"'),
            "modified": listed["LastModified"].timestamp(),
            "metadata": got["Metadata"],
            "content_type": got.get("ContentType"),
            "cache_control": got.get("CacheControl"),
        }
    uploads = [upload["Key"] for upload in uploads_of(s3, bucket, prefix)]
    print(json.dumps({"objects": objects, "uploads": uploads}))


def parts(endpoint, bucket, prefix):
    s3 = client(endpoint)
    uploads = list(uploads_of(s3, bucket, prefix))
    listed = [s3.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]) for upload in uploads]
    print(sum(len(answer.get("Parts", [])) for answer in listed))


def put(endpoint, bucket, key):
    client(endpoint).put_object(Bucket=bucket, Key=key, Body=sys.stdin.buffer.read())


def clear(endpoint, bucket, prefix):
    s3 = client(endpoint)
    keys = [{"Key": listed["Key"]} for listed in objects_of(s3, bucket, prefix)]
    for at in range(0, len(keys), 1000):
        try:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": keys[at : at + 1000], "Quiet": True})
        except ClientError:
            # Names that XML has no way to write.
            for key in keys[at : at + 1000]:
                s3.delete_object(Bucket=bucket, **key)
    for upload in list(uploads_of(s3, bucket, prefix)):
        s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


WHAT = {"create": create, "show": show, "parts": parts, "put": put, "clear": clear}
if len(sys.argv) != 5 or sys.argv[1] not in WHAT:
    sys.exit(__doc__)
WHAT[sys.argv[1]](*sys.argv[2:])
