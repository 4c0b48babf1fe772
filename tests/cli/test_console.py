from __future__ import annotations

import io
import sys

import pytest

from napari_fossiledit.cli.console import drive, note, scores_lines, table
from napari_fossiledit.progress import Progress, Task


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _task(closed: list[bool]) -> Task[int]:
    try:
        for i in range(3):
            yield Progress(i, 3, f"Slice {i}")
        return 7
    finally:
        closed.append(True)


def test_progress_is_shown_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, shown in ((_Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        assert drive(_task([])) == 7
        assert ("Slice 2" in stream.getvalue()) is shown


def test_ctrl_c_closes_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    import tqdm

    def stop(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stderr", _Terminal())
    monkeypatch.setattr(tqdm.tqdm, "set_description_str", stop)
    closed: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        drive(_task(closed))
    assert closed == [True]


def test_many_notes_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    note(f"a{i}.png is grey" for i in range(9))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Note: a0.png is grey."
    assert lines[-1] == "Note: 4 more of this kind."


def test_tables() -> None:
    assert table([["a", "12"], ["bbb", "3"]]) == "a    12\nbbb   3"
    shown = scores_lines({"before": {"matched": 3, "matched_mean": {"iou": 0.5}}, "after": {}})
    assert "IoU (matched)   0.500      -" in shown
    assert "confusers" not in shown
