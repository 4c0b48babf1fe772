"""What a file dialog's answer means, and the words for what was written."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from napari_fossiledit.errors import InputError
from napari_fossiledit.models import Exported
from napari_fossiledit.widgets.export_jobs import export_forms, target, written_words

DETECTRON2 = SimpleNamespace(config=object(), tensors=dict)
TORCHVISION = SimpleNamespace(metadata={})
OURS = SimpleNamespace(metadata={"architecture": "lite0-fpn-mask-rcnn"})


def test_only_forms_that_suit_the_model_are_offered() -> None:
    def offered(model: object) -> list[tuple[str, str]]:
        return [(form.form, form.suffix) for form in export_forms(model)]

    ours = ("safetensors", ".safetensors")
    theirs, zoo = ("detectron2", ".pth"), ("detectron2", ".pkl")
    assert offered(DETECTRON2) == [theirs, zoo, ours, ("torchvision", ".pth")]
    assert offered(TORCHVISION) == [("torchvision", ".pth"), ours]
    assert offered(OURS) == [ours]
    assert len({form.filter for form in export_forms(DETECTRON2)}) == 4


@pytest.mark.parametrize(
    ("name", "picked", "meant"),
    [
        ("m.pth", 0, ("m.pth", "detectron2")),
        ("m.pth", 3, ("m.pth", "torchvision")),
        ("m.PTH", 3, ("m.PTH", "torchvision")),
        ("m", 1, ("m.pkl", "detectron2")),
        ("m", 2, ("m.safetensors", "safetensors")),
        ("m.safetensors", 0, ("m.safetensors", "safetensors")),
        ("m.pkl", 3, ("m.pkl", "detectron2")),
        ("m.pth", 2, ("m.pth", "safetensors")),  # unclear: refused when it is to be written
        ("m.txt", 0, ("m.txt", "detectron2")),
    ],
)
def test_the_dialogs_answer(tmp_path: Path, name: str, picked: int, meant: object) -> None:
    forms = export_forms(DETECTRON2)
    file, form = target(str(tmp_path / name), forms[picked].filter, forms)
    assert (file.name, form) == meant
    assert file.parent == tmp_path


def test_a_dialog_that_says_no_form(tmp_path: Path) -> None:
    forms = export_forms(TORCHVISION)
    assert target(str(tmp_path / "m"), "", forms) == (tmp_path / "m.pth", "torchvision")


def test_no_file_is_replaced_that_the_dialog_did_not_show(tmp_path: Path) -> None:
    (tmp_path / "m.pth").touch()
    forms = export_forms(DETECTRON2)
    with pytest.raises(InputError, match=r"m\.pth exists already"):
        target(str(tmp_path / "m"), forms[0].filter, forms)
    assert target(str(tmp_path / "m.pth"), forms[0].filter, forms)[0] == tmp_path / "m.pth"


def test_what_was_written_is_said() -> None:
    def said(model: object, form: str, changed: int, active: int) -> str:
        written = Exported(Path("m.pth"), form, ("a", "b", "c")[:changed], 295)
        return written_words(model, written, active)

    assert said(DETECTRON2, "detectron2", 1, 1) == (
        "The model, with 1 edit switched on, was written to m.pth: 1 of its 295 tensors differs "
        "from the original's. Use it with the original's config."
    )
    assert "no edit switched on" in said(DETECTRON2, "safetensors", 0, 0)
    assert "none of its 295 tensors differs" in said(DETECTRON2, "safetensors", 0, 0)
    assert "2 of its 295 tensors differ from" in said(DETECTRON2, "torchvision", 2, 2)
    assert "image_mean" in said(DETECTRON2, "torchvision", 2, 2)
    for model in (TORCHVISION, OURS):
        assert "config" not in said(model, "safetensors", 1, 1)
