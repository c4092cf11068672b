"""A bucket of any number of empty objects that exist only as numbers, over HTTP on loopback.

    python3 stub.py COUNT PREFIX        prints its port, and runs until it is killed

Lists `corpus.name(0..COUNT)` below PREFIX in pages of 1,000, in key order, all with the ETag of nothing. What is
written besides (a client's own small objects) is kept in memory and listed as well; conditions are honoured. It checks
no signature and knows no multipart upload. The number of requests of each kind is told at `/requests`.
"""

import asyncio
import collections
import hashlib
import json
import sys
import urllib.parse
from email.utils import formatdate
from xml.sax.saxutils import escape, unescape

from corpus import name

EMPTY = hashlib.md5(b"").hexdigest()
WHEN = "2026-01-01T00:00:00.000Z"


class Bucket:
    def __init__(self, count, prefix):
        self.count, self.prefix = count, prefix
        self.written = {}
        self.requests = collections.Counter()

    def find(self, key):
        """Body and ETag of an object."""
        if key in self.written:
            return self.written[key]
        digits = key[len(self.prefix) :].rpartition("-")[2].partition(".")[0]
        if digits.isdigit() and int(digits) < self.count and key == self.prefix + name(int(digits)):
            return b"", EMPTY
        return None

    def page(self, prefix, after, most):
        """Up to `most` (key, size, etag) after a key, and whether there are more."""
        found = sorted((key, len(body), etag) for key, (body, etag) in self.written.items() if key > after)
        rows = [row for row in found if row[0].startswith(prefix)][: most + 1]
        if self.prefix.startswith(prefix) or prefix.startswith(self.prefix + "year-"):
            first = self.first_after(max(after, prefix[:-1]) if prefix > self.prefix else after)
            made = ((self.prefix + name(n), 0, EMPTY) for n in range(first, min(first + most + 1, self.count)))
            rows = sorted(rows + [row for row in made if row[0].startswith(prefix)])
        return rows[:most], len(rows) > most

    def first_after(self, key):
        """The first number whose name comes after a key."""
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            if self.prefix + name(middle) > key:
                high = middle
            else:
                low = middle + 1
        return low


class Connection(asyncio.Protocol):
    def __init__(self, bucket):
        self.bucket, self.data, self.head = bucket, b"", None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        while True:
            if self.head is None:
                end = self.data.find(b"\r\n\r\n")
                if end < 0:
                    return
                lines = self.data[:end].decode("latin-1").split("\r\n")
                self.data = self.data[end + 4 :]
                headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
                self.head = (*lines[0].split(" ")[:2], {key.lower(): value for key, value in headers.items()})
                if "expect" in self.head[2]:
                    self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = int(self.head[2].get("content-length", 0))
            if len(self.data) < length:
                return
            body, self.data = self.data[:length], self.data[length:]
            method, target, headers = self.head
            self.head = None
            status, answer, extra = self.answer(method, target, headers, body)
            head = [f"HTTP/1.1 {status}", f"Date: {formatdate(usegmt=True)}", *(f"{k}: {v}" for k, v in extra.items())]
            head += [] if method == "HEAD" and "Content-Length" in extra else [f"Content-Length: {len(answer)}"]
            text = "\r\n".join([*head, "", ""]).encode()
            self.transport.write(text if method == "HEAD" else text + answer)

    def answer(self, method, target, headers, body):
        url = urllib.parse.urlsplit(target)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        key = urllib.parse.unquote(url.path).lstrip("/").partition("/")[2]
        if url.path == "/requests":
            return "200 OK", json.dumps(self.bucket.requests).encode(), {}
        kind = "list" if not key and method == "GET" else method.lower()
        self.bucket.requests[kind] += 1
        if "acl" in query or "uploads" in query or "uploadId" in query or "tagging" in query:
            return self.error("501 Not Implemented", "NotImplemented")
        if not key:
            return self.of_bucket(method, query, body)
        found = self.bucket.find(key)
        if method in ("GET", "HEAD"):
            if not found:
                return self.error("404 Not Found", "NoSuchKey")
            wanted = headers.get("if-match")
            if wanted and wanted.strip('"') != found[1]:
                return self.error("412 Precondition Failed", "PreconditionFailed")
            extra = {"ETag": f'"{found[1]}"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
            return "200 OK", found[0], extra | {"Content-Length": len(found[0])} if method == "HEAD" else extra
        wanted = headers.get("if-match", "").strip('"')
        if (headers.get("if-none-match") == "*" and found) or (wanted and (not found or wanted != found[1])):
            return self.error("412 Precondition Failed", "PreconditionFailed")
        if method == "DELETE":
            self.bucket.written.pop(key, None)
            return "204 No Content", b"", {}
        if "x-amz-copy-source" in headers:
            origin = urllib.parse.unquote(headers["x-amz-copy-source"]).lstrip("/").partition("/")[2]
            body = (self.bucket.find(origin) or (None,))[0]
            if body is None:
                return self.error("404 Not Found", "NoSuchKey")
        etag = hashlib.md5(body).hexdigest()
        self.bucket.written[key] = (body, etag)
        if "x-amz-copy-source" in headers:
            text = f"<CopyObjectResult><ETag>&quot;{etag}&quot;</ETag><LastModified>{WHEN}</LastModified></CopyObjectResult>"
            return "200 OK", text.encode(), {}
        return "200 OK", b"", {"ETag": f'"{etag}"'}

    def of_bucket(self, method, query, body):
        if method == "POST":
            keys = [unescape(part.partition("</Key>")[0]) for part in body.decode().split("<Key>")[1:]]
            for key in keys:
                self.bucket.written.pop(key, None)
            done = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
            return "200 OK", f"<DeleteResult>{done}</DeleteResult>".encode(), {}
        if method != "GET":
            return "200 OK", b"", {}
        most = min(int(query.get("max-keys", 1000)), 1000)
        after = query.get("continuation-token") or query.get("start-after") or query.get("marker") or ""
        rows, more = self.bucket.page(query.get("prefix", ""), after, most)
        items = "".join(
            f"<Contents><Key>{urllib.parse.quote(key)}</Key><LastModified>{WHEN}</LastModified>"
            f"<ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key, size, etag in rows
        )
        token = f"<NextContinuationToken>{escape(rows[-1][0])}</NextContinuationToken>" if more else ""
        text = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<EncodingType>url</EncodingType><KeyCount>{len(rows)}</KeyCount><MaxKeys>{most}</MaxKeys>"
            f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{token}{items}</ListBucketResult>"
        )
        return "200 OK", text.encode(), {"Content-Type": "application/xml"}

    @staticmethod
    def error(status, code):
        return status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode(), {}


async def main(count, prefix):
    bucket = Bucket(count, prefix)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(bucket), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
