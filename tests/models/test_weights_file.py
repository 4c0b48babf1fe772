from __future__ import annotations

import argparse
import collections
import importlib
import io
import os
import pickle
import shutil
import struct
import subprocess
import sys
import threading
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from napari_fossiledit.errors import ModelError
from napari_fossiledit.models.weights_file import read_weights

DATA = Path(__file__).parents[1] / "data" / "detectron2"
STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3), "c": torch.ones(4)}


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


def same(got: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> bool:
    return list(got) == list(wanted) and all(
        got[k].dtype == wanted[k].dtype and torch.equal(got[k], wanted[k]) for k in wanted
    )


def refused(path: Path, match: str) -> str:
    with pytest.raises(ModelError, match=match) as caught:
        read_weights(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert path.name in text
    assert len(text) < 320
    return text


def repacked(path: Path, described: bytes) -> None:
    """A zip of torch.save whose pickle is replaced."""
    buffer = io.BytesIO()
    torch.save(STATE, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            mine = entry.filename.endswith("data.pkl")
            new.writestr(entry.filename, described if mine else old.read(entry))


def legacy(path: Path, described: bytes, keys: bytes | None = None) -> None:
    buffer = io.BytesIO()
    torch.save({}, buffer, _use_new_zipfile_serialization=False)
    start = buffer.getvalue()
    tail = pickle.dumps({}, 2) + pickle.dumps([], 2)
    assert start.endswith(tail)
    path.write_bytes(start[: -len(tail)] + described + (keys or pickle.dumps([], 2)))


@pytest.mark.parametrize("model", ["r50_bgr_caffe2", "r101_rgb"])
def test_real_detectron2_files(model: str) -> None:
    pth = read_weights(DATA / model / "model_final.pth")
    pkl = read_weights(DATA / model / "model_final.pkl")
    assert same(pth.tensors, pkl.tensors)
    assert (pth.kind, pkl.kind) == ("torch", "pickle")
    assert pth.wrapper == pkl.wrapper == "model"
    assert set(pth.other) == {"iteration", "trainer", "optimizer", "scheduler"}
    assert pkl.other == {"__author__": "Detectron2 Model Zoo"}
    assert not pth.notes


@pytest.mark.parametrize("name", ["x.pth", "x.pt", "x.pkl", "x.bin", "x"])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapper", ["", "model", "state_dict"])
def test_torch_files_by_content(tmp_path: Path, name: str, zipped: bool, wrapper: str) -> None:
    path = tmp_path / name
    held = {wrapper: STATE, "iteration": 7} if wrapper else STATE
    torch.save(held, path, _use_new_zipfile_serialization=zipped)
    read = read_weights(path)
    assert same(read.tensors, STATE)
    assert read.wrapper == wrapper
    assert read.kind == "torch"
    assert read.other == ({"iteration": 7} if wrapper else {})


@pytest.mark.parametrize("name", ["x.pth", "x.pt", "x.pkl", "x.safetensors"])
@pytest.mark.parametrize("protocol", range(6))
def test_pickles_by_content(tmp_path: Path, name: str, protocol: int) -> None:
    path = tmp_path / name
    held = {"model": {k: t.numpy() for k, t in STATE.items()}, "__author__": "me"}
    path.write_bytes(pickle.dumps(held, protocol))
    if protocol < 2 and name == "x.safetensors":
        refused(path, "damaged")
        return
    read = read_weights(path)
    assert same(read.tensors, STATE)
    assert read.kind == "pickle"
    assert read.other == {"__author__": "me"}


@pytest.mark.parametrize("name", ["x.safetensors", "x.pth", "x"])
def test_safetensors_by_content(tmp_path: Path, name: str) -> None:
    save_file(STATE, tmp_path / name, {"format": "pt"})
    read = read_weights(tmp_path / name)
    assert same(dict(sorted(read.tensors.items())), STATE)
    assert read.notes == {"format": "pt"}
    assert (read.kind, read.wrapper, read.other) == ("safetensors", "", {})


def test_a_torch_file_named_safetensors_is_told_apart(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "x.safetensors")
    refused(tmp_path / "x.safetensors", r"rename it to end in \.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_harmless_things_beside_the_weights(tmp_path: Path, zipped: bool) -> None:
    before = set(torch.serialization.get_safe_globals())
    best: dict[str, list[int]] = collections.defaultdict(list)
    best["AP"].append(3)
    beside = {
        "optimizer": {"lr": np.float64(0.5), "step": np.int64(3), "dtype": np.dtype("f4")},
        "scheduler": {"milestones": collections.Counter([5, 5, 8]), "lambdas": [None]},
        "best": best,
        "args": argparse.Namespace(out=Path("some") / "where", device=torch.device("cpu")),
        "frozen": {1, 2},
        "sizes": torch.Size([2, 3]),
        "history": np.arange(500, dtype=np.float32),
        "names": np.array(["a", "b"]),
        "bytes": b"\xff",
        "momentum": torch.nn.Parameter(torch.ones(2)),
    }
    torch.save(
        {"model": STATE, **beside}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped
    )
    read = read_weights(tmp_path / "x.pth")
    assert same(read.tensors, STATE)
    other = read.other
    assert other["optimizer"] == {"lr": 0.5, "step": 3, "dtype": "float32"}
    assert type(other["optimizer"]["lr"]) is float
    assert other["scheduler"] == {"milestones": {5: 2, 8: 1}, "lambdas": [None]}
    assert other["best"] == {"AP": [3]}
    assert other["args"]["out"] == str(Path("some") / "where")
    assert other["frozen"] == {1, 2}
    assert other["sizes"] == (2, 3)
    assert torch.equal(other["history"], torch.arange(500.0))
    assert other["names"].tolist() == ["a", "b"]
    assert other["bytes"] == b"\xff"
    assert type(other["momentum"]) is torch.Tensor
    assert not other["momentum"].requires_grad
    assert set(torch.serialization.get_safe_globals()) == before


def test_optimisers_and_schedulers_of_torch(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    for kind in (torch.optim.SGD, torch.optim.AdamW):
        optimiser = kind(net.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.MultiStepLR(optimiser, [3, 5])
        net(torch.ones(1, 3, 5, 5)).sum().backward()
        optimiser.step()
        held = {"model": net.state_dict(), "optimizer": optimiser.state_dict()}
        torch.save({**held, "scheduler": scheduler.state_dict()}, tmp_path / "x.pth")
        read = read_weights(tmp_path / "x.pth")
        assert same(read.tensors, dict(net.state_dict()))
        assert read.other["scheduler"]["milestones"] == {3: 1, 5: 1}
    torch.save(net.state_dict(), tmp_path / "y.pth")
    assert same(read_weights(tmp_path / "y.pth").tensors, dict(net.state_dict()))


def test_dtypes_are_kept_and_writing_leaves_the_file(tmp_path: Path) -> None:
    kinds = [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool]
    state = {str(kind): torch.ones(300, dtype=kind) for kind in kinds}
    torch.save(state, tmp_path / "x.pth")
    before = (tmp_path / "x.pth").read_bytes()
    read = read_weights(tmp_path / "x.pth")
    assert same(read.tensors, state)
    for tensor in read.tensors.values():
        tensor.zero_()
    assert (tmp_path / "x.pth").read_bytes() == before
    arrays: dict[str, Any] = {k: t.numpy() for k, t in state.items() if t.dtype != torch.bfloat16}
    arrays["big"] = np.arange(300, dtype=">f4")
    arrays["scalar"] = np.int64(4)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(arrays))
    read = read_weights(tmp_path / "x.pkl")
    assert read.tensors["big"].dtype == torch.float32
    assert read.tensors["big"][299] == 299
    assert read.tensors["scalar"].shape == ()
    assert read.tensors["torch.float16"].dtype == torch.float16
    read.tensors["big"].zero_()


def test_prefixes_and_empty_places(tmp_path: Path) -> None:
    held = {"module.a": torch.ones(1), "module.b": torch.zeros(1), "module.c": None}
    torch.save({"state_dict": held}, tmp_path / "x.pth")
    assert list(read_weights(tmp_path / "x.pth").tensors) == ["a", "b"]
    torch.save({**held, "d": torch.ones(1)}, tmp_path / "x.pth")
    assert list(read_weights(tmp_path / "x.pth").tensors) == ["module.a", "module.b", "d"]


@pytest.mark.parametrize(
    "value", [3, 2.5, "text", [1], {"deep": 1}, np.array(["a"]), (torch.ones(1),)]
)
def test_entries_that_are_no_weights_are_named(tmp_path: Path, value: Any) -> None:
    torch.save({"model": {**STATE, "odd.entry": value}}, tmp_path / "x.pth")
    refused(tmp_path / "x.pth", r"something else than numbers under 'odd\.entry'")


def test_keys_that_are_no_text(tmp_path: Path) -> None:
    state: dict[Any, Any] = {**STATE}
    state[5] = torch.ones(1)
    torch.save(state, tmp_path / "x.pth")
    refused(tmp_path / "x.pth", "under '5'")


PAYLOADS = ["system", "eval", "exec", "Popen", "import", "import_module"]


def payload(kind: str, trace: Path) -> Call:
    make = f"open({str(trace)!r}, 'w').close()"
    return {
        "system": Call(os.system, f'"{sys.executable}" -c "{make}"'),
        "eval": Call(eval, make),
        "exec": Call(exec, make),
        "Popen": Call(subprocess.Popen, [sys.executable, "-c", make]),
        "import": Call(__import__, "this"),
        "import_module": Call(importlib.import_module, "this"),
    }[kind]


NAMES = {"import": "__import__"}
PLACES: dict[str, Any] = {
    "alone": lambda x: x,
    "list": lambda x: {"model": {"a": [[x]]}},
    "tuple": lambda x: {"model": {"a": (1, (x,))}},
    "scheduler": lambda x: {"model": {"a": np.ones(2)}, "scheduler": {"last": x}},
    "optimizer": lambda x: {"model": {"a": np.ones(2)}, "optimizer": {"state": {0: {"m": x}}}},
    "key": lambda x: {x: 1},
    "objects": lambda x: {"model": {"a": np.array([x], dtype=object)}},
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", PAYLOADS)
def test_payloads_are_refused_and_never_run(tmp_path: Path, kind: str, protocol: int) -> None:
    trace = tmp_path / "trace"
    sys.modules.pop("this", None)
    for place, wrap in PLACES.items():
        blob = pickle.dumps(wrap(payload(kind, trace)), protocol)
        files = {"x.pkl": Path.write_bytes, "y.pth": Path.write_bytes}
        for name, write in {**files, "z.pth": repacked, "l.pth": legacy}.items():
            write(tmp_path / name, blob)
            text = refused(tmp_path / name, "stranger's code")
            if place != "objects":
                assert NAMES.get(kind, kind) in text
            assert "torch.save(" in text
    legacy(tmp_path / "k.pth", pickle.dumps(STATE["b"].item(), 2), blob)
    refused(tmp_path / "k.pth", "stranger's code")
    assert not trace.exists()
    assert "this" not in sys.modules


def test_the_payload_would_have_worked(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    pickle.loads(pickle.dumps(payload("system", trace)))
    assert trace.exists()


def test_the_first_refused_name_is_said(tmp_path: Path) -> None:
    repacked(tmp_path / "x.pth", pickle.dumps([Call(os.system, "true"), Call(eval, "1")], 2))
    assert f"holds {os.name}.system, and" in refused(tmp_path / "x.pth", "system")


@pytest.mark.parametrize(
    "name",
    [
        "torch.hub\nload",
        "torch.jit\nload",
        "torch\nload",
        "torch._utils\n_rebuild_wrapper_subclass",
        "torch._tensor\n_rebuild_from_type_v2",
        "torch.storage\n_load_from_bytes",
        "builtins\nbytearray\nx",
        "torch.nn.modules.conv\nConv2d",
        "fvcore.common.param_scheduler\nMultiStepParamScheduler",
        "yacs.config\nCfgNode",
        "os\nsystem",
        "sys\nexit",
    ],
)
def test_names_no_weights_need(tmp_path: Path, name: str) -> None:
    module, attribute = name.split("\n")[:2]
    blob = f"\x80\x02c{module}\n{attribute}\n".encode("latin1") + b"J\xff\xff\xff\x7f\x85R."
    for file, write in {"z.pth": repacked, "l.pth": legacy, "x.pkl": Path.write_bytes}.items():
        write(tmp_path / file, blob)
        wanted = "encode" if file == "x.pkl" and attribute == "bytearray" else attribute
        refused(tmp_path / file, "stranger's code" if attribute == "bytearray" else wanted)


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pth")
    refused(tmp_path / "x.pth", r"torch\.nn\.modules\.linear\.Linear")


def test_torch_tensors_in_a_bare_pickle(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"model": STATE}))
    refused(tmp_path / "x.pkl", r"holds torch\._utils\._rebuild_tensor_v2")


def test_other_protocols_of_torch_files(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "x.pth", pickle_protocol=4)
    refused(tmp_path / "x.pth", "another pickle protocol")


def test_torchscript_and_other_archives(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"script/{name}", "x")
    refused(tmp_path / "script.pt", "TorchScript")
    with zipfile.ZipFile(tmp_path / "plain.pth", "w") as archive:
        archive.writestr("readme", "no weights")
    refused(tmp_path / "plain.pth", "zip archive")
    torch.save(STATE, tmp_path / "whole.pth")
    with (
        zipfile.ZipFile(tmp_path / "whole.pth") as old,
        zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    refused(tmp_path / "packed.pth", "packed again")
    shutil.make_archive(str(tmp_path / "folder"), "gztar", tmp_path, "whole.pth")
    (tmp_path / "folder.tar.gz").rename(tmp_path / "folder.pth")
    refused(tmp_path / "folder.pth", "packed archive")


def test_a_tensor_that_claims_more_than_the_file_has(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1).expand(10**6, 10**6)}, tmp_path / "x.pth")
    refused(tmp_path / "x.pth", "damaged")


def entries(held: Any) -> dict[str, bytes]:
    buffer = io.BytesIO()
    torch.save(held, buffer)
    with zipfile.ZipFile(buffer) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def two_archives() -> tuple[dict[str, bytes], dict[str, bytes]]:
    """A harmless one, and one with a name that is torch's own but not on our list."""
    sparse = torch.sparse_coo_tensor([[0]], [1.0], (1,), check_invariants=False)
    return entries({"model": {"a": torch.ones(2)}}), entries({"model": STATE, "x": sparse})


def hide_by_case(path: Path, good: dict[str, bytes], evil: dict[str, bytes], *, last: bool) -> None:
    both = [("archive/data.pkl", good["archive/data.pkl"])]
    both.insert(int(last), ("archive/DATA.PKL", evil["archive/data.pkl"]))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in [*both, *evil.items()]:
            if name != "archive/data.pkl" or data == good["archive/data.pkl"]:
                archive.writestr(name, data)


@pytest.mark.parametrize("last", [True, False])
def test_a_pickle_hidden_by_upper_case(tmp_path: Path, last: bool) -> None:
    hide_by_case(tmp_path / "x.pth", *two_archives(), last=last)
    refused(tmp_path / "x.pth", "zip archive")


def zip_parts(held: dict[str, bytes], base: int) -> tuple[bytes, bytes]:
    """The entries and the directory of a zip file, by hand."""
    body = directory = b""
    for name, data in held.items():
        sizes = struct.pack("<III", zlib.crc32(data), len(data), len(data))
        place = struct.pack("<I", base + len(body))
        head = struct.pack("<HHHHH", 20, 0, 0, 0, 0x21) + sizes
        tail = struct.pack("<HH", len(name), 0)
        directory += b"PK\1\2" + struct.pack("<H", 20) + head + tail + b"\0" * 10 + place
        directory += name.encode()
        body += b"PK\3\4" + head + tail + name.encode() + data
    return body, directory


def test_a_second_directory_that_only_python_sees(tmp_path: Path) -> None:
    good, evil = two_archives()
    shown = {k: good["archive/data.pkl"] if k.endswith("data.pkl") else v for k, v in evil.items()}
    body, directory = zip_parts(evil, 0)
    # Python adds the gap between the two directories to the places of all entries.
    first = len(body) + len(directory)
    gap = len(zip_parts(shown, 0)[0]) + len(directory)
    again, shown_directory = zip_parts(shown, first - gap)
    end = struct.pack("<HHHHIIH", 0, 0, len(evil), len(evil), len(directory), len(body), 0)
    path = tmp_path / "x.pth"
    path.write_bytes(body + directory + again + shown_directory + b"PK\5\6" + end)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("archive/data.pkl") == good["archive/data.pkl"]
    refused(path, "packed again")


def test_archives_written_by_hand_load(tmp_path: Path) -> None:
    body, directory = zip_parts(entries(STATE), 0)
    count = len(entries(STATE))
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)
    (tmp_path / "x.pth").write_bytes(body + directory + b"PK\5\6" + end)
    assert same(read_weights(tmp_path / "x.pth").tensors, STATE)
    (tmp_path / "x.pth").write_bytes(body + b"gap" + directory + b"PK\5\6" + end)
    refused(tmp_path / "x.pth", "packed again|damaged")


def test_many_threads_load_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"model": STATE, "lr": [np.float64(i) for i in range(500)]}, path)
    before = list(torch.serialization.get_safe_globals())
    errors: list[Exception] = []

    def load() -> None:
        try:
            for _ in range(6):
                assert read_weights(path).other["lr"][3] == 3
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert set(torch.serialization.get_safe_globals()) == set(before)


@pytest.mark.parametrize(
    ("blob", "match"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"\n <HTML><body>", "web page"),
        (b"<?xml version='1.0'?><Error>NoSuchKey</Error>", "web page"),
        (b"hello", "damaged"),
        (b"\x80", "damaged"),
        (b"\x80\x02", "damaged"),
        (b"PK\x03\x04", "damaged"),
        (b"\x8a" * 3000, "damaged"),
        (b"\x20\0\0\0\0\0\0\0{", "damaged"),
        (b"\x02\0\0\0\0\0\0\0{}", "no weights"),
        (pickle.dumps([1, 2]), "no weights"),
        (pickle.dumps({}), "no weights"),
        (pickle.dumps({"model": {}}), "no weights"),
        (pickle.dumps({"a": 1}), "no weights"),
        (b"\x80\x04" + b"]" * 200_000 + b"a" * 199_999 + b".", "too deeply"),
        (b"\x80\x04\x8e\0\0\0\0\x05\0\0\0a.", "damaged"),
    ],
)
def test_files_that_are_no_model(tmp_path: Path, blob: bytes, match: str) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(blob)
    refused(path, match)


def test_places_that_are_no_file(tmp_path: Path) -> None:
    refused(tmp_path, "is a folder")
    refused(tmp_path / "none.pth", "There is no model file")
    (tmp_path / "x.txt").write_text("hello")
    refused(tmp_path / "x.txt", "is no model")


@pytest.mark.skipif(
    os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads anything"
)
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(b"a")
    path.chmod(0)
    refused(path, "permissions")


@pytest.mark.parametrize("name", ["x.pth", "l.pth", "x.pkl", "x.safetensors"])
def test_cut_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write(path)
    whole = path.read_bytes()
    for keep in range(0, len(whole) - 1, max(1, len(whole) // 40)):
        path.write_bytes(whole[:keep])
        refused(path, "damaged|empty|no weights|stranger")


def write(path: Path) -> None:
    if path.suffix == ".pkl":
        path.write_bytes(pickle.dumps({"model": {k: t.numpy() for k, t in STATE.items()}}))
    elif path.suffix == ".safetensors":
        save_file(STATE, path)
    else:
        held = {"model": STATE, "optimizer": {"lr": np.float64(1)}}
        torch.save(held, path, _use_new_zipfile_serialization=path.stem == "x")


@pytest.mark.parametrize("name", ["x.pth", "l.pth", "x.pkl", "x.safetensors"])
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_changed_bytes_load_or_are_refused(tmp_path: Path, name: str, data: st.DataObject) -> None:
    path = tmp_path / name
    write(path)
    blob = bytearray(path.read_bytes())
    places = st.integers(0, len(blob) - 1)
    for at in data.draw(st.lists(places, min_size=1, max_size=6)):
        blob[at] = data.draw(st.integers(0, 255))
    path.write_bytes(blob)
    try:
        read = read_weights(path)
    except ModelError:
        return
    for tensor in read.tensors.values():  # every byte can be read
        tensor.clone()


MEASURE = """
import sys, torch
torch.set_num_threads(1)
from napari_fossiledit.models.weights_file import read_weights
def read():
    return int(open("/proc/self/io").read().split()[1])
def peak():  # of this process alone: ru_maxrss begins with the parent's
    text = open("/proc/self/status").read()
    return int(text.split("VmHWM:")[1].split()[0]) * 1024
read_weights(sys.argv[2])  # imports and first uses
open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
bytes_before, peak_before = read(), peak()
weights = read_weights(sys.argv[1])
bytes_after = read()
total = sum(float(t.sum()) for t in weights.tensors.values())
size = sum(t.nbytes for t in weights.tensors.values())
print(bytes_after - bytes_before, peak() - peak_before, size, total)
"""


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="counts bytes as Linux does")
@pytest.mark.parametrize("name", ["x.pkl", "proto5.pkl", "x.pth", "l.pth", "x.safetensors"])
def test_a_large_file_is_read_once(tmp_path: Path, name: str) -> None:
    state = {f"layer{i}": torch.full((1000, 2500), float(i)) for i in range(10)}
    path, small = tmp_path / name, tmp_path / f"small{Path(name).suffix}"
    if path.suffix == ".pkl":
        arrays = {
            k: t.numpy() for k, t in {**state, **{f"m{k}": t for k, t in state.items()}}.items()
        }
        with path.open("wb") as file:
            pickle.dump({"model": arrays}, file, 5 if name == "proto5.pkl" else 4)
        write(small)
    elif path.suffix == ".safetensors":
        save_file(state, path)
        write(small)
    else:
        held = {"model": state, "optimizer": {"state": {k: t + 1 for k, t in state.items()}}}
        torch.save(held, path, _use_new_zipfile_serialization=name == "x.pth")
        write(small)
    source = str(Path(__file__).parents[2] / "src")
    shown = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), str(small)],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )
    read, peak, size, total = (float(x) for x in shown.stdout.split())
    assert total == 45 * 2.5e6 * (2 if path.suffix == ".pkl" else 1)
    assert read <= 1.05 * path.stat().st_size
    if name == "x.pth":
        assert read < 0.05 * size
    held_bytes = 2 * size if name == "l.pth" else size
    assert 0.9 * size <= peak <= 1.3 * held_bytes
