from __future__ import annotations

import argparse
import codecs
import collections
import contextlib
import copyreg
import functools
import io
import pathlib
import pickle
import struct
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fossiledit.models import plain_pickle
from napari_fossiledit.models.plain_values import GLOBALS, RefusedError, clean

CALLS: list[Any] = []


def canary(*args: Any) -> None:
    CALLS.append(args)


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


def load(blob: bytes) -> Any:
    return plain_pickle.load(io.BytesIO(blob))


def outcome(function: Any, *args: Any) -> Any:
    try:
        return function(*args)
    except Exception as error:
        return error


def refused(blob: bytes) -> str:
    with pytest.raises(RefusedError) as caught:
        load(blob)
    return caught.value.what


KINDS = ["?", "u1", "i1", "u2", "i2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"]
KINDS += [">f4", ">i8", ">f2"]
ARRAYS: list[np.ndarray[Any, Any]] = [np.arange(24).astype(kind).reshape(2, 3, 4) for kind in KINDS]
ARRAYS += [
    np.asfortranarray(np.arange(3000.0).reshape(30, 100)),
    np.arange(3000, dtype=">f8").reshape(30, 100)[:, ::2],
    np.array(3.5, dtype=np.float32),
    np.zeros((0, 4), np.float32),
    np.array(["name", "of class"]),
    np.array([b"a", b"bcd"]),
]


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_are_what_numpy_wrote(protocol: int) -> None:
    for array, again in zip(ARRAYS, load(pickle.dumps(ARRAYS, protocol)), strict=True):
        assert type(again) is np.ndarray
        assert again.dtype == array.dtype.newbyteorder("=")
        assert again.dtype.isnative
        assert np.array_equal(again, array)
        assert again.flags.writeable


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_are_what_was_written(protocol: int) -> None:
    shared = [1, 2]
    value: Any = {
        "numbers": [0, -1, 255, 65536, -(2**31), 2**40, -(2**70), 0.5, -1e300, True, False, None],
        "text": ["", "a", "Ammonit äöü \n 🐚", "x" * 300],
        "bytes": [b"", b"\x00\xff" * 200, bytearray(b"ab")],
        "nested": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [[]], {}),
        "sets": [{1, "a"}, frozenset([2, 3]), set()],
        3: shared,
        (4, "b"): shared,
        None: {"x": {"y": [0.25]}},
    }
    again = load(pickle.dumps(value, protocol))
    assert again == value
    assert list(again) == list(value)
    assert again[3] is again[(4, "b")]


@pytest.mark.parametrize("protocol", range(6))
def test_relatives_of_plain_values_come_as_plain_ones(protocol: int) -> None:
    default: dict[str, list[int]] = collections.defaultdict(list)
    default["x"].append(1)
    value = [
        collections.OrderedDict([("b", 1), ("a", 2)]),
        default,
        collections.Counter("aab"),
        pathlib.Path("some") / "where.png",
        np.float64(0.5),
        np.int32(7),
        np.bool_(True),
        np.str_("name"),
        np.dtype(">f4"),
    ]
    again = load(pickle.dumps(value, protocol))
    assert again[:3] == [{"b": 1, "a": 2}, {"x": [1]}, {"a": 2, "b": 1}]
    assert list(again[0]) == ["b", "a"]
    assert type(again[0]) is type(again[1]) is dict
    assert pathlib.Path(again[3]) == value[3]
    assert again[4:8] == value[4:8]
    assert type(again[4]) is np.float64
    assert type(again[8]) is str


def test_a_circle_stays_a_circle() -> None:
    circle: list[Any] = [1]
    circle.append({"again": circle})
    again = load(pickle.dumps(circle))
    assert again[1]["again"] is again


def test_a_python_2_pickle_is_read() -> None:
    # pickle.dumps({"w": numpy.array([1, 2], "f4")}, 2) as Python 2 writes it: bytes as text.
    blob = (
        b"\x80\x02}q\x00U\x01wq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq"
        b"\x03K\x00\x85U\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<"
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08\x00\x00\x80?\x00\x00\x00@tbs."
    )
    assert load(blob)["w"].tolist() == [1, 2]


def test_large_arrays_are_not_copied() -> None:
    array = np.arange(200_000, dtype=np.float32)
    for protocol in (3, 4):
        again = load(pickle.dumps(array, protocol))
        assert isinstance(again.base, bytes)
    assert not load(pickle.dumps(array, 5)).flags.owndata


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: x,
        lambda x: [x],
        lambda x: ([x],),
        lambda x: {"model": {"a": [(x,)]}},
        lambda x: {x: 1},
        lambda x: {1: 2, "z": [x, x]},
        lambda x: np.array([x, None], dtype=object),
        lambda x: collections.OrderedDict(a=x),
        lambda x: Call(collections.Counter, x),
    ],
)
def test_nothing_is_called(protocol: int, wrap: Any) -> None:
    CALLS.clear()
    what = refused(pickle.dumps(wrap(Call(canary, 1)), protocol))
    assert what.endswith(("test_plain_pickle.canary", "arrays of Python objects"))
    assert not CALLS
    pickle.loads(pickle.dumps(Call(canary, 1), protocol))
    assert CALLS == [(1,)]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "args"),
    [
        (eval, ("1",)),
        (exec, ("1",)),
        (getattr, ("a", "upper")),
        (__import__, ("os",)),
        (copyreg._reconstructor, (argparse.Namespace, object, None)),  # type: ignore[attr-defined]
        (functools.partial, (canary,)),
        (map, (canary, [1])),
        (codecs.decode, (b"a", "zlib")),
        (np.load, ("file",)),
        (complex, (1, 2)),
        (type, ("a", (), {})),
    ],
)
def test_other_functions_are_refused_by_name(protocol: int, function: Any, args: Any) -> None:
    assert function.__name__ in refused(pickle.dumps([Call(function, *args)], protocol))


def stack_global(module: str, name: str) -> bytes:
    return b"".join(b"\x8c" + bytes([len(t)]) + t.encode() for t in (module, name)) + b"\x93"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (stack_global("collections", "OrderedDict.__init__.__globals__"), "__globals__"),
        (stack_global("collections.OrderedDict", "__init__"), "OrderedDict.__init__"),
        (stack_global("numpy", "ndarray.__reduce__"), "__reduce__"),
        (stack_global("", "collections.OrderedDict"), ".collections.OrderedDict"),
        (stack_global("napari_fossiledit.models.plain_values", "os"), "plain_values.os"),
        (b"(iposix\nsystem\n", "posix.system"),
        (b"(cposix\nsystem\no", "posix.system"),
        (b"c__builtin__\neval\n", "builtins.eval"),
        (b"\x82\x01", "EXT1"),
        (b"\x83\x01\x00", "EXT2"),
        (b"\x84\x01\x00\x00\x00", "EXT4"),
        (b"Pid\n", "PERSID"),
        (b"K\x01Q", "BINPERSID"),
        (b"\x97", "NEXT_BUFFER"),
        (b"ccollections\nOrderedDict\n)\x81", "NEWOBJ"),
        (b"ccollections\nOrderedDict\n)}\x92", "NEWOBJ_EX"),
        (b"cnumpy\nndarray\n}b", "with attributes"),
        (b"ccollections\nOrderedDict\n}K\x01K\x02sb", "with attributes"),
        (b"ccollections\nOrderedDict\n", "OrderedDict"),
        (b"cbuiltins\nlist\n)R", "builtins"),
        (b"cbuiltins\nbytes\nK\x09\x85R", "builtins.bytes"),
        (b"K\x01)R", "a call of int"),
        (b"]b", None),
        (b"K\x01]b", "a int with attributes"),
        (b"cnumpy\ndtype\n\x8c\x02O8\x85R", "Python objects"),
        (b"cnumpy\ndtype\n\x8c\x02V8\x85R", "type V8"),
        (b"cnumpy\ndtype\n\x8c\x05f4,f4\x85R", "type f4,f4"),
        (b"cnumpy\ndtype\n\x8c\x02M8\x85R", "type M8"),
        (b"c_codecs\nencode\n\x8c\x01a\x8c\x05rot13\x86R", "_codecs.encode"),
        (b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R", "_codecs.encode"),
    ],
)
def test_opcodes_that_lead_elsewhere(body: bytes, what: str | None) -> None:
    CALLS.clear()
    copyreg.add_extension(__name__, "canary", 1)
    try:
        blob = b"\x80\x04" + body + b"."
        if what is None:
            with pytest.raises(IndexError):
                load(blob)
        else:
            assert what in refused(blob)
    finally:
        copyreg.remove_extension(__name__, "canary", 1)
    assert not CALLS


def array_state(shape: Any, kind: str, raw: Any, fortran: Any = False) -> bytes:
    """The pickle of an array with a state of our choice."""
    state = pickle.dumps((1, shape, None, fortran, raw), 2)[2:-1]
    dtype = b"cnumpy\ndtype\n\x8c" + bytes([len(kind)]) + kind.encode() + b"\x85R"
    start = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    assert state.count(b"N") == 1
    return b"\x80\x04" + start + state.replace(b"N", dtype) + b"b."


def test_the_helper_writes_arrays() -> None:
    assert load(array_state((2,), "f4", b"\0" * 8)).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("shape", "kind", "raw"),
    [
        ((3,), "f4", b"\0" * 8),
        ((1,), "f4", b"\0" * 8),
        ((2**62, 2**62), "f4", b"\0" * 8),
        ((-1, -2), "f4", b"\0" * 8),
        ((0, 2**70), "f4", b""),
        ((2**33,), "f4", b"\0" * 8),
        ((1,) * 100, "f4", b"\0" * 4),
        ((2.0,), "f4", b"\0" * 8),
        ([2], "f4", b"\0" * 8),
        (2, "f4", b"\0" * 8),
        ((2,), "f4", 8),
        ((2,), "f3", b"\0" * 6),
        ((1,), "S999999999", b"\0"),
        ((1,), "f4", [1]),
    ],
)
def test_arrays_whose_bytes_do_not_fit(shape: Any, kind: str, raw: Any) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError)):
        load(array_state(shape, kind, raw))


def test_a_subclass_or_a_reserved_size_is_no_array() -> None:
    good = array_state((2,), "f4", b"\0" * 8)
    big = good.replace(b"K\x00\x85C\x01b", b"J\xff\xff\xff\x7f\x85C\x01b")
    assert big != good
    with pytest.raises(ValueError, match="plain array"):
        load(big)
    assert "memmap" in refused(good.replace(b"cnumpy\nndarray\n", b"cnumpy\nmemmap\n"))


def nested(depth: int) -> bytes:
    return b"\x80\x04" + b"]" * depth + b"a" * (depth - 1) + b"."


@pytest.mark.parametrize(
    "blob",
    [
        b"\x80\x04\x8e" + struct.pack("<Q", 10 << 30) + b"a.",  # bytes
        b"\x80\x04\x8d" + struct.pack("<Q", 10 << 30) + b"a.",  # text
        b"\x80\x05\x96" + struct.pack("<Q", 10 << 30) + b"a.",  # bytearray
        b"\x80\x04B" + struct.pack("<I", 2**32 - 1) + b"a.",
        b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"a.",  # a number
        b"\x80\x02]r\xff\xff\xff\xff.",  # a memo of four milliard places
        b"\x80\x04]" + b"\x8e" + struct.pack("<Q", 2**64 - 1) + b"a.",
        nested(200_000),
        b"\x80\x04)" + b"\x85" * 200_000 + b".",
        b"\x80\x04)" + b"2\x86" * 60 + b"]\x86.",  # 2^60 tuples, shared
        b"\x80\x04]" + b"(22e" * 60 + b".",
        b"\x80\x04})" + b"2\x86" * 60 + b"K\x01s.",  # as a key they would be hashed
        b"\x80\x04})" + b"\x85" * 200_000 + b"K\x01s.",
        b"\x80\x04(" + b")" + b"2\x86" * 60 + b"\x91.",
    ],
)
def test_a_short_file_costs_little(blob: bytes) -> None:
    import tracemalloc

    tracemalloc.start()
    began = time.perf_counter()
    with contextlib.suppress(ValueError, RecursionError, IndexError):
        load(blob)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.perf_counter() - began < 10
    assert peak < 200e6


def number(value: int) -> bytes:
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


@pytest.mark.parametrize("value", [2**61 - 1, -(2**61) + 1, 2**61, 2**80])
def test_keys_that_hash_alike(value: int) -> None:
    for blob in (b"}" + number(value) + b"Ns", b"\x8f(" + number(value) + b"\x90"):
        assert "number of many digits" in refused(b"\x80\x04" + blob + b".")
    assert "digits" in refused(b"\x80\x04}" + number(2**40) + b"\x85Ns.")
    assert refused(b"\x80\x04}(" + b"K\x01" * 10 + b"tNs.") == "a key of 10 values"
    kept = {2**61 - 2: 1, -(2**61) + 2: 2, (1, "a"): 3, 140_000_000_000_000: 4}
    assert load(pickle.dumps(kept)) == kept


def test_complex_numbers_are_no_keys() -> None:
    assert "a key of the type complex" in refused(pickle.dumps({np.complex128(1j): 1}))


@pytest.mark.parametrize(
    "name",
    [
        "_codecs encode",
        "builtins bytearray",
        "pathlib PosixPath",
        "builtins set",
        "collections OrderedDict",
        "torch Size",
    ],
)
def test_one_value_is_not_copied_from_the_memo_again_and_again(name: str) -> None:
    import tracemalloc

    if name.split()[1] in ("set", "Size", "OrderedDict"):
        held = b"(" + b"N" * 10_000 + b"t"
        if name.endswith("OrderedDict"):
            held = b"}(" + b"".join(struct.pack("<BiB", 74, i, 78) for i in range(10_000)) + b"u"
    else:
        held = b"X" + struct.pack("<I", 1_000_000) + b"x" * 1_000_000
    blob = b"\x80\x04" + held + b"\x940c" + name.replace(" ", "\n").encode() + b"\n\x940]("
    blob += b"h\x01h\x00\x85R" * 20_000 + b"e."
    tracemalloc.start()
    began = time.perf_counter()
    for read in (load, lambda b: plain_pickle.scan(io.BytesIO(b), {"torch.Size"})):
        error = outcome(read, blob)
        assert isinstance(error, ValueError)
        if name != "torch Size" or read is not load:
            assert "makes far more than it holds" in str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.perf_counter() - began < 90  # hours, and 20 GB, if all were made
    assert peak < 400e6


@pytest.mark.parametrize(
    "blob",
    [b"", b".", b"\x80\x04", b"\x80\x09N.", b"hello", b"\x80\x04t.", b"\x80\x04h\x01.", b"("],
)
def test_no_pickle_at_all(blob: bytes) -> None:
    with pytest.raises((ValueError, IndexError, KeyError)):
        load(blob)


def test_names_in_errors_are_short_and_printable() -> None:
    what = refused(b"\x80\x04" + stack_global("a\x1b[31m\n" * 20, "b") + b".")
    assert len(what) <= 80
    assert what.isprintable()


VALID = pickle.dumps(
    {"model": {"a.weight": np.arange(6, dtype=np.float32), "b": np.int64(3)}, "x": [1, ("y", 2.5)]}
)
CANARY = stack_global(__name__, "canary")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=8))
def test_mutated_pickles_never_call_anything(changes: list[tuple[int, int]]) -> None:
    blob = bytearray(VALID)
    for at, byte in changes:
        blob[at] = byte
    assert not isinstance(outcome(load, bytes(blob)), ImportError | AttributeError)


PIECES = [
    CANARY,
    f"c{__name__}\ncanary\n".encode(),
    *(stack_global(*name.rsplit(".", 1)) for name in sorted(GLOBALS)),
    *(bytes([c]) for c in b"]})(.Nab012\x85\x86\x87\x88\x89R\x81sutel\x8f\x90\x91\x94o\x92\x93d"),
    b"K\x00",
    b"K\x05",
    b"\x8c\x02f4",
    b"C\x04abcd",
    b"h\x00",
    b"h\x01",
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_random_programs_never_call_anything(pieces: list[bytes]) -> None:
    CALLS.clear()
    program = b"\x80\x04" + b"".join(pieces) + b"."
    assert not isinstance(outcome(load, program), ImportError)
    scanned = outcome(plain_pickle.scan, io.BytesIO(program), {"torch.Size"})
    assert not isinstance(scanned, ImportError)
    assert not CALLS


def test_scan_rehearses_what_it_is_told_to_allow() -> None:
    blob = b"\x80\x02}\x8c\x01act\nrebuild\n(K\x01Q\x89tR}bs0" + pickle.dumps({"m": 1}, 2)[2:]
    plain_pickle.scan(io.BytesIO(blob), {"t.rebuild"})
    with pytest.raises(RefusedError, match=r"t\.rebuild"):
        plain_pickle.scan(io.BytesIO(blob), set())
    with pytest.raises(RefusedError, match="canary"):
        plain_pickle.scan(io.BytesIO(pickle.dumps([Call(canary)])), {"t.rebuild"})


def test_text_from_files_is_cleaned() -> None:
    assert clean("plain text, ünïcode 化石") == "plain text, ünïcode 化石"
    assert clean("a\x1b[31m\r\nb\0\u202e\ud800\x7f\x9bc") == "a[31mbc"
    assert clean("a\xa0b") == "a b"
    assert clean("x" * 120) == "x" * 120
    assert clean("x" * 10**6) == "x" * 117 + "..."
    assert clean("x" * 30, 10) == "x" * 7 + "..."
