"""PNG files made smaller: what Chromium writes has 24 bits a pixel, a page of an admin some hundred colours.

The most frequent colours of all, and then of each cell of 5 bits a channel, become a palette of 256; each pixel
takes the nearest. Only 8-bit RGB and RGBA without interlacing, as Chromium writes them; any other file stays as it is.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from pathlib import Path

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = 256
# Surfaces and plain text, which must stay exactly as they are; the rest is the rims of letters.
_EXACT = 96


def smaller(path: Path) -> None:
    """Rewrites the file with a palette where that makes it smaller."""
    data = path.read_bytes()
    chunks = _chunks(data)
    wide, tall, depth, kind, _compression, _filter, interlaced = struct.unpack(">IIBBBBB", chunks["IHDR"])
    channels = {2: 3, 6: 4}.get(kind)
    if depth != 8 or interlaced or channels is None:
        return
    pixels = _pixels(zlib.decompress(chunks["IDAT"]), wide, tall, channels)
    made = _with_palette(pixels, wide, tall)
    if len(made) < len(data):
        path.write_bytes(made)


def _chunks(data: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    place = len(_SIGNATURE)
    while place < len(data):
        (size,) = struct.unpack_from(">I", data, place)
        name = data[place + 4 : place + 8].decode("ascii")
        found[name] = found.get(name, b"") + data[place + 8 : place + 8 + size]
        place += size + 12
    return found


def _pixels(raw: bytes, wide: int, tall: int, channels: int) -> list[bytes]:
    """Each line's pixels as r, g, b; PNG's five filters undone."""
    line_size = wide * channels
    before = bytearray(line_size)
    lines = []
    for number in range(tall):
        start = number * (line_size + 1)
        line = bytearray(raw[start + 1 : start + 1 + line_size])
        _undo(raw[start], line, before, channels)
        before = line
        if channels == 3:
            lines.append(bytes(line))
        else:
            rgb = bytearray(wide * 3)
            for channel in range(3):
                rgb[channel::3] = line[channel::4]
            lines.append(bytes(rgb))
    return lines


def _undo(kind: int, line: bytearray, before: bytearray, step: int) -> None:
    if kind == 1:
        for place in range(step, len(line)):
            line[place] = (line[place] + line[place - step]) & 255
    elif kind == 2:
        for place in range(len(line)):
            line[place] = (line[place] + before[place]) & 255
    elif kind == 3:
        for place in range(len(line)):
            left = line[place - step] if place >= step else 0
            line[place] = (line[place] + (left + before[place]) // 2) & 255
    elif kind == 4:
        for place in range(len(line)):
            left, corner = (line[place - step], before[place - step]) if place >= step else (0, 0)
            above = before[place]
            guess = left + above - corner
            a, b, c = abs(guess - left), abs(guess - above), abs(guess - corner)
            nearest = left if a <= b and a <= c else above if b <= c else corner
            line[place] = (line[place] + nearest) & 255


def _with_palette(lines: list[bytes], wide: int, tall: int) -> bytes:
    counted: Counter[bytes] = Counter()
    for line in lines:
        counted.update(line[place : place + 3] for place in range(0, len(line), 3))
    palette = _palette(counted)
    index = {colour: _nearest(colour, palette) for colour in counted}
    packed = bytearray()
    for line in lines:
        packed.append(0)
        packed += bytes(index[line[place : place + 3]] for place in range(0, len(line), 3))
    header = struct.pack(">IIBBBBB", wide, tall, 8, 3, 0, 0, 0)
    body = zlib.compress(bytes(packed), 9)
    return _SIGNATURE + b"".join(
        _chunk(name, part)
        for name, part in (("IHDR", header), ("PLTE", b"".join(palette)), ("IDAT", body), ("IEND", b""))
    )


def _palette(counted: Counter[bytes]) -> list[bytes]:
    """The most frequent colours, then the most frequent one of each of the fullest cells of what is left."""
    exact = [colour for colour, _number in counted.most_common(_EXACT)]
    cells: dict[tuple[int, int, int], tuple[int, int, bytes]] = {}
    for colour, number in counted.items():
        if colour in exact:
            continue
        cell = (colour[0] >> 3, colour[1] >> 3, colour[2] >> 3)
        whole, most, shown = cells.get(cell, (0, 0, colour))
        cells[cell] = (whole + number, max(most, number), colour if number > most else shown)
    fullest = sorted(cells.values(), key=lambda cell: cell[0], reverse=True)[: _COLOURS - len(exact)]
    return exact + [colour for _whole, _most, colour in fullest]


def _nearest(colour: bytes, palette: list[bytes]) -> int:
    red, green, blue = colour
    return min(
        range(len(palette)),
        key=lambda place: (
            (palette[place][0] - red) ** 2
            + (palette[place][1] - green) ** 2
            + (palette[place][2] - blue) ** 2
        ),
    )


def _chunk(name: str, body: bytes) -> bytes:
    tagged = name.encode("ascii") + body
    return struct.pack(">I", len(body)) + tagged + struct.pack(">I", zlib.crc32(tagged))
