"""Strings of variable length, taken from an HDF5 file's bytes without the library.

The library believes the heaps that hold them: a size of 0 sends it round in circles for ever, a
length of 4 GB is allocated. Source of the layout: HDF5 file format specification 3.0, III.E
(global heap) and IV.A.2.d (variable-length elements).
"""

from __future__ import annotations

import mmap
import struct

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HEAP = b"GCOL\x01"
ELEMENT = 16  # bytes: length, address of the heap, number of the object in it


class DamagedError(ValueError):
    """The bytes contradict the format."""


class Strings:
    """The strings in the bytes of a file, by the elements that stand for them.

    Raises
    ------
    DamagedError
        If the file does not begin as an HDF5 file of 64-bit offsets and lengths, or if any of its
        heaps is broken.

    """

    def __init__(self, content: mmap.mmap):
        self.content = content
        if content[:8] != _SIGNATURE:
            raise DamagedError("it does not begin with HDF5's signature")
        place = 13 if content[8] < 2 else 9
        if content[place : place + 2] != b"\x08\x08":
            raise DamagedError("addresses and lengths are not of 8 bytes")
        self.heaps: dict[int, dict[int, slice]] = {}
        place = content.find(_HEAP)
        while place >= 0:
            self.heaps[place] = self._objects(place)
            place = content.find(_HEAP, place + 1)

    def _objects(self, heap: int) -> dict[int, slice]:
        """Where each object of a heap lies; they follow each other to its end.

        Object 0 is the free space. Its size counts its header, the others' do not.
        """
        found: dict[int, slice] = {}
        if heap + 16 > len(self.content):
            raise DamagedError(f"a heap of strings is cut off at byte {heap}")
        end = heap + int(struct.unpack_from("<Q", self.content, heap + 8)[0])
        place = heap + 16
        while place + 16 <= end and end <= len(self.content):
            index, size = struct.unpack_from("<H6xQ", self.content, place)
            length = size if index == 0 else 16 + -(-size // 8) * 8
            if length < 16:
                break
            found[index] = slice(place + 16, place + 16 + size)
            place += length
        if not end - 16 < place <= end:
            raise DamagedError(f"a broken heap of strings at byte {heap}")
        return found

    def at(self, offset: int) -> bytes:
        """The string of the element at ``offset`` in the file."""
        if not 0 <= offset <= len(self.content) - ELEMENT:
            raise DamagedError(f"a string beyond the end of the file, at byte {offset}")
        length, heap, index = struct.unpack_from("<IQI", self.content, offset)
        if length == 0:
            return b""
        place = self.heaps.get(heap, {}).get(index) if index else None
        if place is None or length > place.stop - place.start:
            raise DamagedError(f"a string without content, at byte {offset}")
        return self.content[place][:length]
