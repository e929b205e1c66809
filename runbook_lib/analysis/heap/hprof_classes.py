"""The classes of a JVM's heap dump while its objects are counted: names, fields, and what HotSpot needs for an object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from runbook_lib.analysis.heap.java_names import PRIMITIVES, readable

__all__ = ["Classes"]

# The types of arrays of primitives, by the number that the dump has for them.
_ELEMENTS = {4: "Z", 5: "C", 6: "F", 7: "D", 8: "B", 9: "S", 10: "I", 11: "J"}
_TELLING = 16  # an array of as many references differs enough in its two sizes


class Classes:
    """What was seen so far. `strings`: identifier to text; `names`: class to the string that is its name."""

    def __init__(self) -> None:
        self.strings: dict[int, bytes] = {}
        self.names: dict[int, int] = {}
        self._fields: dict[int, tuple[int, int, int]] = {}
        self._instances: defaultdict[int, int] = defaultdict(int)
        # Count, and bytes: with references of 4 and of 8 bytes.
        self._object_arrays: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
        self._primitive_arrays: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
        self._last_array: tuple[int, int, int] | None = None
        self._votes = [0, 0]

    def define(self, identifier: int, parent: int, references: int, primitive_bytes: int) -> None:
        """A class with the fields of its own: how many references, and the bytes of the others."""
        self._fields[identifier] = (parent, references, primitive_bytes)

    def count_instance(self, identifier: int, own: int) -> None:
        """An object of a class."""
        if self._last_array is not None:
            self._compare(identifier)
        self._instances[own] += 1

    def count_primitives(self, identifier: int, kind: int, size: int) -> None:
        """An array of primitives whose elements take `size` bytes."""
        if self._last_array is not None:
            self._compare(identifier)
        sums = self._primitive_arrays[kind]
        sums[0] += 1
        sums[1] += (size + 23) & -8  # a header of 16 bytes, rounded up

    def count_objects(self, identifier: int, own: int, number: int) -> None:
        """An array of references. What follows right after it in the heap tells how large it is."""
        if self._last_array is not None:
            self._compare(identifier)
        compressed, full = _rounded(16 + 4 * number), _rounded(16 + 8 * number)
        sums = self._object_arrays[own]
        sums[0] += 1
        sums[1] += compressed
        sums[2] += full
        if number >= _TELLING:
            self._last_array = (identifier, compressed, full)

    @property
    def counted(self) -> bool:
        """Whether any object was seen."""
        return bool(self._instances or self._object_arrays or self._primitive_arrays)

    def rows(self) -> Iterator[tuple[str, int, int]]:
        """Name, count and bytes of each class and kind of array."""
        wide = self._votes[1] > self._votes[0]
        for own, count in self._instances.items():
            yield self._name(own), count, count * self._size(own, reference=8 if wide else 4)
        for own, (count, small, large) in self._object_arrays.items():
            yield self._name(own), count, large if wide else small
        for kind, (count, size) in self._primitive_arrays.items():
            yield f"{PRIMITIVES[_ELEMENTS[kind]]}[]", count, size

    def _compare(self, identifier: int) -> None:
        """Objects stand in a dump as they stand in the heap: the next one begins where the array before it ends."""
        assert self._last_array is not None
        start, compressed, full = self._last_array
        if identifier - start in (compressed, full):
            self._votes[identifier - start == full] += 1
        self._last_array = None

    def _name(self, own: int) -> str:
        text = self.strings.get(self.names.get(own, -1))
        return readable(text.decode("utf-8", "replace")) if text is not None else f"class 0x{own:x}"

    def _size(self, own: int, *, reference: int) -> int:
        """The bytes of an instance: header, the fields of its class and of those above it, rounded up."""
        total, seen = 12, set[int]()
        while own in self._fields and own not in seen:
            seen.add(own)
            own, references, primitive_bytes = self._fields[own]
            total += references * reference + primitive_bytes
        return _rounded(total)


def _rounded(size: int) -> int:
    return (size + 7) // 8 * 8
