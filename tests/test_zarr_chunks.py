"""Zarr arrays read chunk by chunk: both formats and orders, gaps and edges, and files that lie."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Callable
from typing import Any

import numcodecs
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.errors import InputError, NotFoundError, PlatformError
from core.zarr_chunks import ZarrArray, chunk_indices, open_array, read_array, read_chunk

MIB = 1024 * 1024
Files = dict[str, bytes]
CODECS: dict[str, Any] = {
    "blosc": numcodecs.Blosc(cname="lz4"),
    "zstd": numcodecs.Zstd(),
    "lz4": numcodecs.LZ4(),
    "gzip": numcodecs.GZip(),
    "zlib": numcodecs.Zlib(),
}


def reader(files: Files) -> Callable[[str, int], bytes]:
    def read(path: str, limit: int) -> bytes:
        if path not in files:
            raise NotFoundError("There is no such file.", where=path)
        if len(files[path]) > limit:
            raise PlatformError(f"The file has more than {limit} bytes.", where=path)
        return files[path]

    return read


def v2(
    elements: np.ndarray[Any, Any],
    chunks: tuple[int, ...],
    *,
    codec: str = "",
    order: str = "C",
    separator: str = ".",
    left_out: frozenset[tuple[int, ...]] = frozenset(),
    **changes: object,
) -> Files:
    """Files of an array of format 2."""
    packer = CODECS[codec] if codec else None
    metadata = {
        "zarr_format": 2,
        "shape": list(elements.shape),
        "chunks": list(chunks),
        "dtype": elements.dtype.str,
        "compressor": packer and packer.get_config(),
        "fill_value": 7,
        "filters": None,
        "order": order,
        "dimension_separator": separator,
    }
    files = {"a/.zarray": json.dumps(metadata | changes).encode()}
    for index, full in padded(elements, chunks):
        data = full.tobytes(order="F" if order == "F" else "C")
        if index not in left_out:
            files["a/" + separator.join(map(str, index))] = bytes(packer.encode(data)) if packer else data
    return files


def v3(elements: np.ndarray[Any, Any], chunks: tuple[int, ...], codecs: list[Any], **changes: object) -> Files:
    """Files of an array of format 3, packed by the codecs."""
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(elements.shape),
        "data_type": elements.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunks)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 7,
        "codecs": codecs,
    }
    files = {"a/zarr.json": json.dumps(metadata | changes).encode()}
    for index, full in padded(elements, chunks):
        packed = full
        data = b""
        for codec in codecs:
            options = codec.get("configuration", {})
            if codec["name"] == "transpose":
                packed = packed.transpose(options["order"])
            elif codec["name"] == "bytes":
                wanted = packed.dtype.newbyteorder(">" if options.get("endian") == "big" else "<")
                data = packed.astype(wanted).tobytes()
            elif codec["name"] == "crc32c":
                data += b"\1\2\3\4"
            else:
                data = bytes(CODECS[codec["name"]].encode(data))
        files["a/c/" + "/".join(map(str, index))] = data
    return files


def padded(elements: np.ndarray[Any, Any], chunks: tuple[int, ...]) -> list[tuple[tuple[int, ...], Any]]:
    """Every chunk, those at the far edges filled up."""
    found = []
    for index in np.ndindex(*(-(-n // c) for n, c in zip(elements.shape, chunks, strict=True))):
        part = elements[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunks, strict=True))]
        full = np.full(chunks, 99, dtype=elements.dtype)
        full[tuple(slice(n) for n in part.shape)] = part
        found.append((index, full))
    return found


def changed(files: Files, change: dict[str, object]) -> Files:
    """The files with other metadata."""
    name = next(path for path in files if path in ("a/.zarray", "a/zarr.json"))
    return files | {name: json.dumps(json.loads(files[name]) | change).encode()}


MOST_CHUNKS = MIB // 4096
"""Of an array that is read as a whole."""


def whole(files: Files) -> np.ndarray[Any, Any]:
    read = reader(files)
    return read_array(read, open_array(read, "a"), limit=MIB)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    data=st.data(),
    codec=st.sampled_from(["", *CODECS]),
    order=st.sampled_from("CF"),
    separator=st.sampled_from("./"),
    dtype=st.sampled_from(["<u2", ">i4", "<f8", "|u1", "|b1"]),
)
def test_format_2_gives_back_what_was_written(
    shape: list[int], data: st.DataObject, codec: str, order: str, separator: str, dtype: str
):
    chunks = tuple(data.draw(st.integers(1, 5)) for _ in shape)
    assume(math.prod(-(-size // chunk) for size, chunk in zip(shape, chunks, strict=True)) <= MOST_CHUNKS)
    elements = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    files = v2(elements, chunks, codec=codec, order=order, separator=separator, fill_value=None)
    np.testing.assert_array_equal(whole(files), elements)


BYTES = {"name": "bytes", "configuration": {"endian": "little"}}


@pytest.mark.parametrize(
    "codecs",
    [
        [BYTES],
        [{"name": "bytes", "configuration": {"endian": "big"}}, {"name": "gzip"}],
        [BYTES, {"name": "zstd"}, {"name": "crc32c"}],
        [BYTES, {"name": "crc32c"}, {"name": "blosc"}],
        [{"name": "transpose", "configuration": {"order": [2, 0, 1]}}, BYTES, {"name": "zstd"}],
        [
            {"name": "transpose", "configuration": {"order": [1, 2, 0]}},
            {"name": "transpose", "configuration": {"order": [1, 0, 2]}},
            BYTES,
        ],
    ],
)
def test_format_3_gives_back_what_was_written(codecs: list[Any]):
    elements = np.arange(2 * 5 * 4, dtype="u2").reshape(2, 5, 4)
    np.testing.assert_array_equal(whole(v3(elements, (2, 3, 3), codecs)), elements)


def test_format_3_with_keys_of_format_2():
    elements = np.arange(6, dtype="f4").reshape(2, 3)
    files = v3(elements, (1, 3), [BYTES], chunk_key_encoding={"name": "v2"})
    files = {path.replace("a/c/0/0", "a/0.0").replace("a/c/1/0", "a/1.0"): data for path, data in files.items()}
    np.testing.assert_array_equal(whole(files), elements)


def test_a_missing_chunk_is_the_fill_value():
    elements = np.zeros((4, 6), dtype="u2")
    files = v2(elements, (2, 4), codec="zstd", left_out=frozenset([(0, 1), (1, 0)]))
    found = whole(files)
    assert found[:2, :4].max() == 0
    assert (found[:2, 4:] == 7).all()
    assert (found[2:, :4] == 7).all()
    array = open_array(reader(files), "a")
    assert [index for index in chunk_indices(array) if read_chunk(reader(files), array, index) is None] == [
        (0, 1),
        (1, 0),
    ]


@pytest.mark.parametrize(("fill", "found"), [("NaN", np.nan), ("-Infinity", -np.inf), (None, 0.0), (2.5, 2.5)])
def test_fill_values(fill: object, found: float):
    files = v2(np.zeros(3), (3,), fill_value=fill, left_out=frozenset([(0,)]))
    np.testing.assert_array_equal(whole(files), [found] * 3)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [10**12, 10**12]},
        {"shape": [4]},
        {"shape": [4, -1]},
        {"shape": [4, 2.0]},
        {"shape": [True, 4]},
        {"chunks": [0, 2]},
        {"chunks": [10**6, 10**6]},
        {"shape": [1] * 9, "chunks": [1] * 9},
        {"dtype": "|O"},
        {"dtype": "<U400000000"},
        {"dtype": "|V9"},
        {"dtype": [["x", "<f8"]]},
        {"dtype": "<c16"},
        {"dtype": "nonsense"},
        {"compressor": {"id": "pickle"}},
        {"compressor": "zstd"},
        {"filters": [{"id": "delta"}]},
        {"order": "A"},
        {"dimension_separator": "/../"},
        {"fill_value": -1},
        {"fill_value": 10**30},
        {"fill_value": "AAAA"},
        {"fill_value": [1]},
    ],
)
def test_metadata_that_lies_or_is_not_understood_is_refused_before_anything_is_read(change: dict[str, object]):
    files = changed(v2(np.zeros((4, 4), dtype="u2"), (2, 2)), change)
    asked = []

    def read(path: str, limit: int) -> bytes:
        asked.append(path)
        return reader(files)(path, limit)

    with pytest.raises(InputError) as caught:
        read_array(read, open_array(read, "a"), limit=MIB)
    assert caught.value.where == "a"
    assert asked == ["a/.zarray"]


@pytest.mark.parametrize(
    "change",
    [
        {"node_type": "group"},
        {"data_type": "complex64"},
        {"data_type": {"name": "numpy.datetime64"}},
        {"chunk_grid": {"name": "rectangular"}},
        {"chunk_key_encoding": {"name": "odd"}},
        {"codecs": [{"name": "sharding_indexed"}]},
        {"codecs": [{"name": "transpose", "configuration": {"order": [0, 0]}}, BYTES]},
        {"codecs": "bytes"},
        {"codecs": None},
    ],
)
def test_what_of_format_3_is_not_read_is_named(change: dict[str, object]):
    with pytest.raises(InputError, match="Its metadata cannot be used"):
        whole(changed(v3(np.zeros((2, 2), dtype="u2"), (2, 2), [BYTES]), change))


def test_a_file_that_is_no_metadata_and_an_array_that_is_not_there():
    for data in (b"", b"[]", b"[" * 100_000, b"\xff"):
        with pytest.raises(InputError):
            whole({"a/.zarray": data})
    with pytest.raises(NotFoundError):
        whole({})


@pytest.mark.parametrize("codec", ["", *CODECS])
def test_a_chunk_that_is_cut_short_or_too_long_is_refused(codec: str):
    elements = np.arange(3000, dtype="u4").reshape(60, 50)
    files = v2(elements, (60, 50), codec=codec)
    packed = files["a/0.0"]
    for broken in (packed[: len(packed) // 2], packed[:3], b"", bytes(len(packed))):
        if codec or len(broken) != len(packed):
            with pytest.raises(InputError, match="damaged"):
                whole(files | {"a/0.0": broken})
    other = elements[:, :49].tobytes(), np.zeros((61, 50), dtype="u4").tobytes()
    for data in other:
        with pytest.raises(InputError, match="damaged"):
            whole(files | {"a/0.0": bytes(CODECS[codec].encode(data)) if codec else data})


@pytest.mark.parametrize("codec", CODECS)
def test_a_small_file_that_would_unpack_to_much_is_refused(codec: str):
    files = v2(np.zeros((2, 2), dtype="u2"), (2, 2), codec=codec)
    bomb = bytes(CODECS[codec].encode(bytes(20 * MIB)))
    assert len(bomb) < MIB
    array = open_array(reader(files), "a")
    assert isinstance(array, ZarrArray)
    with pytest.raises((InputError, PlatformError)):
        read_chunk(lambda path, limit: bomb, array, (0, 0))


def test_blosc_never_reads_beyond_the_bytes_that_are_there():
    packed = v2(np.arange(4000, dtype="u2"), (4000,), codec="blosc")
    for length in range(0, len(packed["a/0"]), 97):
        with pytest.raises(InputError):
            whole(packed | {"a/0": packed["a/0"][:length]})


def test_a_zstd_frame_that_does_not_tell_its_size_is_refused():
    frame = b"\x28\xb5\x2f\xfd" + bytes([0b0000_0000, 0x58]) + (1 | 4 << 3).to_bytes(3, "little") + b"abcd"
    files = v2(np.zeros(4, dtype="u1"), (4,), codec="zstd")
    with pytest.raises(InputError, match="does not tell its size"):
        whole(files | {"a/0": frame})


def test_gzip_of_more_than_one_length_field_is_still_bounded():
    files = v2(np.zeros(4, dtype="u1"), (4,), codec="gzip")
    np.testing.assert_array_equal(whole(files | {"a/0": gzip.compress(b"\1\2\3\4")}), [1, 2, 3, 4])
    np.testing.assert_array_equal(whole(files | {"a/0": zlib.compress(b"\1\2\3\4")}), [1, 2, 3, 4])


def test_a_large_array_in_tiny_chunks_is_not_read_whole():
    read = reader(v2(np.zeros((2, 2), dtype="u1"), (1, 1), shape=[1000, 1000]))
    with pytest.raises(InputError, match="is more than"):
        read_array(read, open_array(read, "a"), limit=MIB)
