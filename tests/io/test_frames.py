from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_fossiledit import io
from napari_fossiledit.errors import InputError, OutputError


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"id": [1, 2], "volume_mm3": [1 / 3, np.nan], "name": ["a", "ö,b"]})


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "T.CSV"])
def test_what_is_written_is_read_back(name: str, frame: pd.DataFrame, tmp_path: Path) -> None:
    io.write_frame(tmp_path / name, frame)
    pd.testing.assert_frame_equal(io.read_frame(tmp_path / name), frame, check_exact=True)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_tables_of_spreadsheets(mark: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(mark.join(("slice", "score")) + "\n" + mark.join(("3", "0.5")), "utf-8-sig")
    assert io.read_frame(path).to_dict("list") == {"slice": [3], "score": [0.5]}


def test_what_is_no_table(frame: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81")
    (tmp_path / "empty.csv").write_bytes(b"")
    for name in ("broken.parquet", "binary.csv", "empty.csv"):
        with pytest.raises(InputError, match="cannot be read as a table"):
            io.read_frame(tmp_path / name)
    with pytest.raises(InputError, match="no table"):
        io.read_frame(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"\.csv or \.parquet"):
        io.write_frame(tmp_path / "t.xlsx", frame)
    with pytest.raises(OutputError, match="no folder"):
        io.write_frame(tmp_path / "no" / "t.csv", frame)


def test_a_disk_that_takes_nothing(read_only: Path, frame: pd.DataFrame) -> None:
    with pytest.raises(OutputError, match="read-only"):
        io.write_frame(read_only / "t.parquet", frame)
