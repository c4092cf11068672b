#!/usr/bin/env python3
"""Makes examples/media: a few tiny files of our own, with the names that make trouble elsewhere."""

import pathlib
import struct
import zlib

ROOT = pathlib.Path(__file__).parent / "media"


def png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """A PNG of one colour, by the specification (https://www.w3.org/TR/png/)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\0" + bytes(colour) * width) * height
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def svg(colour: str) -> bytes:
    """A circle."""
    circle = f'<circle cx="8" cy="8" r="7" fill="{colour}"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16">{circle}</svg>\n'.encode()


FILES = {
    ".DS_Store": b"\0\0\0\1Bud1",
    "hello.txt": b"Hello from mediasync.\n",
    "empty.txt": b"",
    "logos/circle.svg": svg("teal"),
    "photos/red.png": png(8, 8, (200, 30, 30)),
    "photos/summer holiday.png": png(16, 8, (240, 200, 40)),
    "photos/M\u00fcnchen.png": png(8, 16, (40, 90, 200)),
    # In key order "photos-old" comes before "photos/", although "photos" comes before "photos-old".
    "photos-old/red copy.png": png(8, 8, (200, 30, 30)),
}

for name, content in FILES.items():
    path = ROOT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
