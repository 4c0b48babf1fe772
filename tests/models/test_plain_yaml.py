"""YAML is read as plain data; payloads that work in yaml.unsafe_load run nothing here."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_fossiledit.errors import ModelError
from napari_fossiledit.models import plain_yaml
from napari_fossiledit.models.plain_yaml import LARGEST_FILE, read_plain_yaml

# Each makes the file M when PyYAML's unsafe_load reads it (checked below).
PAYLOADS = {
    "os.system": '!!python/object/apply:os.system ["touch M"]',
    "eval": "!!python/object/apply:builtins.eval [\"open('M', 'w')\"]",
    "Popen": "!!python/object/apply:subprocess.check_call [[touch, M]]",
    "nested in lists": "[1, [2, !!python/object/apply:os.system [touch M]]]",
    "as a key": "{? !!python/object/apply:os.system [touch M] : 1}",
    "in a tuple": "!!python/tuple [!!python/object/apply:os.system [touch M]]",
    "new with a map": (
        "!!python/object/new:tuple [!!python/object/new:map "
        "[!!python/name:eval , [\"open('M', 'w')\"]]]"
    ),
    "new with listitems": (
        "!!python/object/new:type {args: [z, !!python/tuple [], "
        "{extend: !!python/name:exec }], listitems: \"open('M', 'w')\"}"
    ),
    "new with state": (
        "!!python/object/new:str {state: !!python/tuple [\"open('M', 'w')\", "
        "!!python/object/new:staticmethod {state: {update: !!python/name:eval , items: "
        "!!python/name:list }}]}"
    ),
    "in a CfgNode": (
        "!!python/object/new:builtins.dict {dictitems: "
        "{A: !!python/object/apply:os.system [touch M]}}"
    ),
    "behind an alias": "[&a !!python/object/apply:os.system [touch M], *a]",
}


def read(folder: Path, text: str | bytes, name: str = "config.yaml") -> plain_yaml.PlainYaml:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_plain_yaml(path)


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_payloads_are_data(payload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain = read(tmp_path, f"MODEL:\n  X: {payload}\n")
    assert not (tmp_path / "M").exists()
    assert plain.calls
    assert plain.calls[0].setting.startswith("MODEL.X")
    assert plain.calls[0].line == 2


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.filterwarnings("ignore")
def test_payloads_are_real(payload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        yaml.unsafe_load(payload)
    except Exception as error:  # some run first and fail afterwards
        print(error)
    assert (tmp_path / "M").exists()


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("!!python/name:os.system ''", 1),
        ("!!python/module:os ''", 1),
        ("!!python/object:os.stat_result {a: 1}", 1),
        ("!Unknown {a: 1}", 1),
        ("!!python/object/apply:collections.OrderedDict [[[a, 1]]]", 0),
        ("!!python/object/apply:pathlib.PosixPath [/, out]", 0),
        ("!!python/tuple [1, 2]", 0),
    ],
)
def test_which_tags_count_as_calls(text: str, calls: int, tmp_path: Path) -> None:
    assert len(read(tmp_path, text).calls) == calls


def test_what_dumped_containers_hold(tmp_path: Path) -> None:
    text = """
t: !!python/tuple [1, !!python/tuple [2.5, x]]
u: !!python/unicode text
i: !!python/long 12
b: !!python/bool true
n: !!python/none null
o: !!python/object/apply:collections.OrderedDict [[[a, 1], [b, 2]]]
p: !!python/object/apply:pathlib.PosixPath [out, run1]
s: !!set {x: null}
c: !!python/object/new:detectron2.config.config.CfgNode
  dictitems: {MODEL: !!python/object/new:yacs.config.CfgNode {dictitems: {A: 1}}}
  state: {__immutable__: true}
m: !!python/object:detectron2.config.config.CfgNode {A: 1, __immutable__: false}
e: !!python/object/new:detectron2.config.config.CfgNode {state: {__immutable__: false}}
"""
    plain = read(tmp_path, text)
    assert plain.calls == ()
    assert plain.data == {
        "t": (1, (2.5, "x")),
        "u": "text",
        "i": 12,
        "b": True,
        "n": None,
        "o": {"a": 1, "b": 2},
        "p": "out/run1",
        "s": ["x"],
        "c": {"MODEL": {"A": 1}},
        "m": {"A": 1},
        "e": {},
    }


def test_a_real_dict_subclass_as_yaml_dumps_it(tmp_path: Path) -> None:
    class CfgNode(dict):  # type: ignore[type-arg]
        pass

    CfgNode.__module__, CfgNode.__qualname__ = "detectron2.config.config", "CfgNode"
    inner = CfgNode(DEPTH=50, SIZES=(1, 2))
    inner.__dict__["__immutable__"] = False
    node = CfgNode(MODEL=inner)
    plain = read(tmp_path, yaml.dump(node))
    assert plain == plain_yaml.PlainYaml({"MODEL": {"DEPTH": 50, "SIZES": (1, 2)}}, ())


def test_merge_keys_and_aliases(tmp_path: Path) -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [{x: 8}, *a]}\nd: *a\n"
    data = read(tmp_path, text).data
    assert data == yaml.safe_load(text)
    assert data["c"] == {"x": 8, "y": 2}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "a: &a [1,1]\n"
            + "".join(
                f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n"
                for i in range(9)
            ),
            "more than 20000 values",
        ),
        ("a: &a [*a]", "nested more deeply"),
        ("a: &a {b: *a}", "nested more deeply"),
        ("[" * 5000, "nested more deeply"),
        ("x: " + "[" * 60 + "]" * 60, "nested more deeply"),
        (b"a: " + b"x" * LARGEST_FILE, "too large for a config"),
        (b"\x80\x02}q\x00.", "not a text file"),
        (b"PK\x03\x04\x00\x00", "not a text file"),
        ("a: [1, 2", "not valid YAML \\(line 1"),
        ("a: b: c", "not valid YAML"),
        ("a: *nothing", "not valid YAML"),
        ("--- 1\n--- 2\n", "not valid YAML"),
        ("\x07", "not valid YAML"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(
    text: str | bytes, says: str, tmp_path: Path
) -> None:
    start = time.perf_counter()
    with pytest.raises(ModelError, match=says) as caught:
        read(tmp_path, text)
    assert time.perf_counter() - start < 60
    assert "\n" not in str(caught.value)
    assert "config.yaml" in str(caught.value)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a folder"):
        read_plain_yaml(tmp_path)
    with pytest.raises(ModelError, match=r"There is no config file .*none\.yaml"):
        read_plain_yaml(tmp_path / "none.yaml")
    with pytest.raises(ModelError, match=r"no config file|cannot be read"):
        read_plain_yaml(tmp_path / "a\0b.yaml")
    with pytest.raises(ModelError, match=r"no config file|cannot be read"):
        read_plain_yaml(tmp_path / ("a" * 5000))


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ModelError, match="Permission denied"):
        read(tmp_path, "a: 1")


def test_encodings(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeffa: ü".encode()).data == {"a": "ü"}
    assert read(tmp_path, "a: ü".encode("utf-16")).data == {"a": "ü"}


def test_odd_scalars(tmp_path: Path) -> None:
    data = read(tmp_path, f"a: {'9' * 5000}\nb: !!int two\nc: !!float x\nd: !!binary a\n").data
    assert data == {"a": "9" * 5000, "b": "two", "c": "x", "d": "a"}


def test_dates_and_bytes_stay_text(tmp_path: Path) -> None:
    text = """
a: 2024-05-01
b: 2001-12-14t21:59:43.10+99:99
c: !!timestamp abc
d: !!binary aGVsbG8=
e: 0000-01-01
? 2024-05-02
: 1
"""
    data = read(tmp_path, text).data
    assert data == {
        "a": "2024-05-01",
        "b": "2001-12-14t21:59:43.10+99:99",
        "c": "abc",
        "d": "aGVsbG8=",
        "e": "0000-01-01",
        "2024-05-02": 1,
    }
    assert json.loads(json.dumps(data, sort_keys=True)) == data


def test_keys_are_text(tmp_path: Path) -> None:
    text = """
? !!python/tuple [[1]]
: a
? [1, 2]
: b
? {x: 1}
: c
1: d
~: e
true: f
1.5: g
<<: {? !!python/tuple [[2]] : h}
o: !!python/object/apply:collections.OrderedDict
- - [[1], 2]
  - !!python/tuple [!!python/tuple [[1]], 3]
s: !!set
  ? [1]
  ? {a: 1}
"""
    data = read(tmp_path, text).data
    assert data == {
        "([1],)": "a",
        "[1, 2]": "b",
        "{'x': 1}": "c",
        "1": "d",
        "None": "e",
        "True": "f",
        "1.5": "g",
        "([2],)": "h",
        "o": {"[1]": 2, "([1],)": 3},
        "s": ["[1]", "{'a': 1}"],
    }
    json.dumps(data, sort_keys=True)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=PLAIN)
def test_what_is_dumped_is_read(data: object, tmp_path: Path) -> None:
    assert read(tmp_path, yaml.safe_dump(data)).data == data


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=60) | st.text(alphabet="a:-[]{}&*!<? \n'\"|>%@", max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes | str, tmp_path: Path) -> None:
    with contextlib.suppress(ModelError):
        json.dumps(read(tmp_path, content).data, sort_keys=True)
