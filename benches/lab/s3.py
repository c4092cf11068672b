"""As much of S3 as the benchmark needs to prepare and to check: buckets and listings, signed (AWS Signature 4)."""

import datetime
import hashlib
import hmac
import http.client
import urllib.parse
import xml.etree.ElementTree as ElementTree

REGION = "us-east-1"
ACCESS_KEY = "bench"
SECRET_KEY = "bench-secret-of-a-server-on-loopback"
EMPTY = hashlib.sha256(b"").hexdigest()


def request(port, method, path, query=None):
    """One request without a body. Returns status and body."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    quoted = urllib.parse.quote(path)
    text = "&".join(f"{quote(name)}={quote(value)}" for name, value in sorted((query or {}).items()))
    headers = {"host": f"127.0.0.1:{port}", "x-amz-content-sha256": EMPTY, "x-amz-date": now}
    signed = ";".join(headers)
    canonical = "\n".join(
        [method, quoted, text, *(f"{name}:{value}" for name, value in headers.items()), "", signed, EMPTY]
    )
    scope = f"{now[:8]}/{REGION}/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{SECRET_KEY}".encode()
    for part in (now[:8], REGION, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={signed}, Signature={signature}"
    )
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, quoted + (f"?{text}" if text else ""), headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def quote(text):
    return urllib.parse.quote(str(text), safe="-_.~")


def make_bucket(port, bucket):
    """Makes an empty bucket, after removing one of this name."""
    drop_bucket(port, bucket)
    status, body = request(port, "PUT", f"/{bucket}")
    if status != 200:
        raise RuntimeError(f"PUT /{bucket}: {status} {body[:500]!r}")


def drop_bucket(port, bucket):
    """Removes a bucket with what is in it (SeaweedFS does; S3 would refuse)."""
    status, body = request(port, "DELETE", f"/{bucket}")
    if status not in (204, 404):
        raise RuntimeError(f"DELETE /{bucket}: {status} {body[:500]!r}")


def listing(port, bucket, prefix):
    """All keys below `prefix` with their sizes."""
    found, token = {}, None
    while True:
        query = {"list-type": "2", "prefix": prefix, "max-keys": "1000"}
        if token:
            query["continuation-token"] = token
        status, body = request(port, "GET", f"/{bucket}", query)
        if status != 200:
            raise RuntimeError(f"GET /{bucket}: {status} {body[:500]!r}")
        root = ElementTree.fromstring(body)
        space = root.tag[: root.tag.index("}") + 1] if root.tag.startswith("{") else ""
        for item in root.iter(f"{space}Contents"):
            found[item.find(f"{space}Key").text] = int(item.find(f"{space}Size").text)
        token = root.findtext(f"{space}NextContinuationToken")
        if root.findtext(f"{space}IsTruncated") != "true":
            return found
