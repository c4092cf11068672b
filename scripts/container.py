"""A container as Azure's own Python SDK sees it: for the tests, independent of the program under test.

  container.py create ENDPOINT CONTAINER SECONDS   makes the container and stores a blob, trying for so long
  container.py show ENDPOINT CONTAINER PREFIX      prints one JSON object: everything below the prefix, blobs without
                                                   content yet ("uploads") and how many blocks those have
  container.py put ENDPOINT CONTAINER NAME         stores standard input under a name, with its MD5 as clients do
  container.py dress ENDPOINT CONTAINER NAME       the same with headers, metadata and a tag
  container.py dressed ENDPOINT CONTAINER NAME     prints which of these are there, as a JSON list
  container.py plain ENDPOINT CONTAINER NAME       the same in one block without an MD5
  container.py fill ENDPOINT CONTAINER PREFIX      stores one byte under the prefix and each line of standard input
  container.py delete ENDPOINT CONTAINER NAME      removes one blob
  container.py snapshot ENDPOINT CONTAINER NAME    makes a snapshot
  container.py headers ENDPOINT CONTAINER NAME     gives a blob another type and cache headers, and leaves its content
  container.py tier ENDPOINT CONTAINER NAME        moves a blob to the tier that standard input names
  container.py sas ENDPOINT CONTAINER WHAT         prints a shared access signature: account, container, expired, readonly,
                                                   nolist, nodelete
  container.py prepare ENDPOINT CONTAINER NAME     gives the container a stored access policy of this name, and the account a
                                                   delete retention of three days
  container.py settings ENDPOINT CONTAINER -       prints how public the container is, its stored access policies, and what
                                                   the account says of CORS and delete retention, as JSON
  container.py clear ENDPOINT CONTAINER PREFIX     removes everything below the prefix

ENDPOINT holds the account: http://127.0.0.1:PORT/ACCOUNT. Its key comes from AZURE_STORAGE_KEY.
"""

import datetime
import hashlib
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from azure.storage.blob import (
    AccessPolicy,
    AccountSasPermissions,
    BlobBlock,
    BlobServiceClient,
    ContainerSasPermissions,
    ContentSettings,
    ResourceTypes,
    RetentionPolicy,
    generate_account_sas,
    generate_container_sas,
)

KEY = os.environ["AZURE_STORAGE_KEY"]


def container(endpoint, name, retries=3):
    service = BlobServiceClient(endpoint, credential=KEY, retry_total=retries, connection_timeout=5)
    return service.get_container_client(name)


def create(endpoint, name, seconds):
    client, until = container(endpoint, name, retries=0), time.monotonic() + float(seconds)
    while True:
        try:
            if not client.exists():
                client.create_container()
            # A server may answer before it can store.
            client.upload_blob("ready", b"ready", overwrite=True)
            client.delete_blob("ready")
            return
        except Exception as error:
            if time.monotonic() > until:
                sys.exit(f"{endpoint} is not ready: {error}")
            time.sleep(0.2)


def show(endpoint, name, prefix):
    client, blobs = container(endpoint, name), {}
    for listed in client.list_blobs(name_starts_with=prefix, include=["metadata"]):
        content = client.download_blob(listed.name).readall()
        assert len(content) == listed.size, f"{listed.name}: {len(content)} bytes were read, {listed.size} are listed"
        settings, md5 = listed.content_settings, hashlib.md5(content).digest()
        if settings.content_md5 is not None:
            assert bytes(settings.content_md5) == md5, f"{listed.name}: its Content-MD5 is not that of its bytes"
        blobs[listed.name] = {
            "size": listed.size,
            "sha256": hashlib.sha256(content).hexdigest(),
            "etag": listed.etag,
            "md5": settings.content_md5 is not None,
            "metadata": listed.metadata or {},
            "content_type": settings.content_type,
            "cache_control": settings.cache_control,
        }
    every = client.list_blobs(name_starts_with=prefix, include=["uncommittedblobs"])
    uploads = sorted(blob.name for blob in every if blob.name not in blobs)
    lists = [client.get_blob_client(upload).get_block_list("all") for upload in uploads]
    print(json.dumps({"objects": blobs, "uploads": uploads, "blocks": sum(len(blocks[1]) for blocks in lists)}))


def put(endpoint, name, blob):
    data = sys.stdin.buffer.read()
    settings = ContentSettings(content_md5=bytearray(hashlib.md5(data).digest()), cache_control="max-age=7")
    container(endpoint, name).upload_blob(blob, data, overwrite=True, content_settings=settings)


def dress(endpoint, name, blob):
    settings = ContentSettings(cache_control="max-age=7", content_disposition="inline")
    more = {"metadata": {"author": "me"}, "tags": {"a b": "x:y/z"}}
    container(endpoint, name).upload_blob(blob, sys.stdin.buffer.read(), content_settings=settings, **more)


def dressed(endpoint, name, blob):
    client = container(endpoint, name).get_blob_client(blob)
    found = client.get_blob_properties()
    there = {
        "cache-control": found.content_settings.cache_control == "max-age=7",
        "content-disposition": found.content_settings.content_disposition == "inline",
        "metadata": found.metadata.get("author") == "me",
        "tags": client.get_blob_tags() == {"a b": "x:y/z"},
    }
    print(json.dumps([what for what, is_there in there.items() if is_there]))


def plain(endpoint, name, blob):
    client = container(endpoint, name).get_blob_client(blob)
    client.stage_block("a" * 24, sys.stdin.buffer.read())
    client.commit_block_list([BlobBlock("a" * 24)])


def fill(endpoint, name, prefix):
    client, names = container(endpoint, name), sys.stdin.read().splitlines()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda below: client.upload_blob(prefix + below, b"1", overwrite=True), names))


def delete(endpoint, name, blob):
    container(endpoint, name).delete_blob(blob)


def snapshot(endpoint, name, blob):
    container(endpoint, name).get_blob_client(blob).create_snapshot()


def headers(endpoint, name, blob):
    client = container(endpoint, name).get_blob_client(blob)
    settings = client.get_blob_properties().content_settings
    settings.content_type, settings.cache_control = "application/x-special", "max-age=60"
    client.set_http_headers(settings)


def tier(endpoint, name, blob):
    container(endpoint, name).get_blob_client(blob).set_standard_blob_tier(sys.stdin.read().strip())


def sas(endpoint, name, what):
    account = endpoint.rsplit("/", 1)[1]
    days = -1 if what == "expired" else 1
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    if what in ("container", "nolist", "nodelete"):
        letters = {"container": "racwdlt", "nolist": "racwdt", "nodelete": "racwlt"}[what]
        letters = ContainerSasPermissions.from_string(letters)
        print(generate_container_sas(account, name, account_key=KEY, permission=letters, expiry=until))
        return
    letters = "rl" if what == "readonly" else "rwdlct"
    types = ResourceTypes(service=False, container=True, object=True)
    print(generate_account_sas(account, KEY, types, AccountSasPermissions.from_string(letters), until, services="b"))


def prepare(endpoint, name, policy):
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    allowed = AccessPolicy(permission=ContainerSasPermissions(read=True), expiry=until)
    container(endpoint, name).set_container_access_policy({policy: allowed})
    service = BlobServiceClient(endpoint, credential=KEY)
    service.set_service_properties(delete_retention_policy=RetentionPolicy(enabled=True, days=3))


def settings(endpoint, name, _):
    access = container(endpoint, name).get_container_access_policy()
    service = BlobServiceClient(endpoint, credential=KEY).get_service_properties()
    rules = [
        {
            "origins": rule.allowed_origins,
            "methods": rule.allowed_methods,
            "headers": rule.allowed_headers,
            "exposed": rule.exposed_headers,
            "age": rule.max_age_in_seconds,
        }
        for rule in service["cors"]
    ]
    found = {
        "public": access["public_access"],
        "policies": [identifier.id for identifier in access["signed_identifiers"]],
        "cors": rules,
        "retention": service["delete_retention_policy"].days,
    }
    print(json.dumps(found))


def clear(endpoint, name, prefix):
    client = container(endpoint, name)
    for blob in list(client.list_blobs(name_starts_with=prefix)):
        client.delete_blob(blob.name, delete_snapshots="include")


COMMANDS = [create, show, put, dress, dressed, plain, fill, delete, snapshot, headers, tier, sas, prepare, settings]
COMMANDS += [clear]
WHAT = {command.__name__: command for command in COMMANDS}
if len(sys.argv) != 5 or sys.argv[1] not in WHAT:
    sys.exit(__doc__)
WHAT[sys.argv[1]](*sys.argv[2:])
