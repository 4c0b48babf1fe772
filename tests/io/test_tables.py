from __future__ import annotations

import math
from pathlib import Path

import pytest

from napari_fossiledit import io
from napari_fossiledit.errors import InputError, OutputError


def written(tmp_path: Path, text: str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "id,texture\n1,porous\n3,mud-filled\n",
        "\ufeffTexture;ID\r\nporous;1\r\nmud-filled;3.0\r\n;4\r\n",
        "label\ttexture\tremark\n1\tporous\tx\n3\tmud-filled\n\n",
    ],
)
def test_textures_as_spreadsheets_write_them(tmp_path: Path, text: str) -> None:
    found = io.read_textures(written(tmp_path, text))
    assert found.of_slice("any") == {1: "porous", 3: "mud-filled"}
    assert found.ids == {1, 3}


def test_textures_of_single_slices(tmp_path: Path) -> None:
    text = "slice,id,texture\na,1,porous\nb,1,mud-filled\n,2,porous\n"
    found = io.read_textures(written(tmp_path, text))
    assert found.of_slice("a") == {1: "porous", 2: "porous"}
    assert found.of_slice("b.png") == {1: "mud-filled", 2: "porous"}
    assert found.of_slice("c") == {2: "porous"}


def test_textures_as_json(tmp_path: Path) -> None:
    found = io.read_textures(written(tmp_path, '{"7": "porous"}', "t.json"))
    assert found.everywhere == {7: "porous"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.csv", "1,porous\n2,porous\n", "does not name its columns"),
        ("t.csv", "id,name\n1,porous\n", "does not name its columns"),
        ("t.csv", "", "does not name its columns"),
        ("t.csv", "id,texture\n", "names no texture"),
        ("t.csv", "id,texture\nx,porous\n", 'Line 2 of t.csv has the id "x"'),
        ("t.csv", "id,texture\n0,porous\n", 'has the id "0"'),
        ("t.csv", "id,texture\n1,porous\n1,mud\n", "Line 3 of t.csv gives 1 the texture mud"),
        ("t.json", "{", "is no JSON file"),
        ("t.json", '{"1": 2}', "does not hold textures by id"),
        ("t.json", '{"a": "porous"}', 'has the id "a"'),
    ],
)
def test_what_is_no_table_of_textures(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        io.read_textures(written(tmp_path, text, name))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_and_unreadable_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        io.read_textures(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be read"):
        io.read_textures(tmp_path)
    (tmp_path / "latin.csv").write_bytes("id,texture\n1,porös\n".encode("latin-1"))
    with pytest.raises(InputError, match="no text in UTF-8"):
        io.read_textures(tmp_path / "latin.csv")


def test_a_table_is_written(tmp_path: Path) -> None:
    rows = [["a, b", 1, 0.123456789, None, True], ["c", 2, math.nan, 1e-9, False]]
    io.write_table(tmp_path / "t.csv", ["slice", "id", "x", "y", "found"], rows)
    assert (tmp_path / "t.csv").read_text().splitlines() == [
        "slice,id,x,y,found",
        '"a, b",1,0.123457,,yes',
        "c,2,,1e-09,no",
    ]
    with pytest.raises(OutputError):
        io.write_table(tmp_path / "none" / "t.csv", ["a"], [])
