"""`Specimens` and edits by hand on real layers, without a window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import run
from napari_fossiledit.volume import hand_edits
from napari_fossiledit.widgets.hand_jobs import apply_edit, hand_edit_task
from napari_fossiledit.widgets.layers import as_role, turn_to_3d
from napari_fossiledit.widgets.specimen_places import go_to_specimen
from napari_fossiledit.widgets.specimens import Specimens, edit_problem, is_large

PLACE = {"scale": (0.5, 0.1, 0.1), "translate": (1.0, 0.0, 2.0), "units": ("mm",) * 3}


def pillars() -> np.ndarray:
    labels = np.zeros((6, 12, 12), np.int32)
    labels[:4, 1:5, 1:5] = 1
    labels[[0, 1, 3, 4], 6:11, 6:11] = 2
    labels[5, 1:4, 1:4] = 7
    return labels


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    viewer.add_labels(pillars(), name="made", metadata=as_role("result"), **PLACE)
    return viewer


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("ndisplay", [2, 3])
@pytest.mark.parametrize(
    ("kind", "ids", "z"),
    [("merge", (1, 7), 0), ("split", (1,), 2), ("delete", (1, 2), 0), ("fill", (2,), 2)],
)
def test_undo_and_redo_restore_every_bit(viewer, kind, ids, z, ndisplay, shown) -> None:
    layer = viewer.layers["made"]
    layer.visible = shown
    viewer.dims.ndisplay = ndisplay
    before = layer.data.copy()
    data = layer.data
    edit = run(hand_edit_task(layer.data, kind, ids, z))
    apply_edit(layer, edit)
    assert layer.data is data  # in place: nothing is lost of the history before
    after = layer.data.copy()
    assert (after != before).any()
    expected = before.copy()
    edit.apply(expected)
    np.testing.assert_array_equal(after, expected)
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)
    layer.redo()
    np.testing.assert_array_equal(layer.data, after)
    layer.undo()
    assert layer.data.tobytes() == before.tobytes()
    np.testing.assert_array_equal(layer.scale, PLACE["scale"])
    np.testing.assert_array_equal(layer.translate, PLACE["translate"])


def test_several_edits_are_taken_back_one_by_one(viewer) -> None:
    layer = viewer.layers["made"]
    states = [layer.data.copy()]
    for kind, ids, z in [("merge", (1, 2), 0), ("split", (1,), 3), ("delete", (7,), 0)]:
        apply_edit(layer, run(hand_edit_task(layer.data, kind, ids, z)))
        states.append(layer.data.copy())
    for state in reversed(states[:-1]):
        layer.undo()
        np.testing.assert_array_equal(layer.data, state)
    for state in states[1:]:
        layer.redo()
        np.testing.assert_array_equal(layer.data, state)


def test_own_labels_and_lazy_ones_are_never_changed() -> None:
    import dask.array as da

    edit = hand_edits.delete(pillars(), 1)
    own = Labels(pillars(), name="mine")
    lazy = Labels(da.from_array(pillars()), name="disk", metadata=as_role("result"))
    for layer, words in ((own, "labels of your own"), (lazy, "read from disk")):
        assert words in edit_problem(layer)
        with pytest.raises(InputError, match=words):
            apply_edit(layer, edit)
        np.testing.assert_array_equal(np.asarray(layer.data), pillars())
    assert edit_problem(None)


def test_an_edit_needs_a_selection() -> None:
    with pytest.raises(InputError, match="Select specimens first"):
        run(hand_edit_task(pillars(), "delete", (), 0))


def test_large_layers_are_known_by_their_size() -> None:
    import dask.array as da

    def labels(*shape: int) -> Labels:
        return Labels(da.zeros(shape, dtype=np.int32, chunks=(1, *shape[1:])), multiscale=False)

    assert is_large(labels(3000, 2000, 2000))
    assert is_large(labels(2100, 8, 8))
    assert not is_large(labels(48, 384, 384))
    assert not is_large(Image(np.zeros((20, 20))))


def test_a_table_goes_out_of_date_when_voxels_change(viewer) -> None:
    import pandas as pd

    layer = viewer.layers["made"]
    specimens = Specimens(viewer)
    told = []
    specimens.changed.connect(lambda: told.append(1))
    specimens.choose(layer)
    assert specimens.unit_now == "mm"
    assert specimens.voxel_size == (0.5, 0.1, 0.1)
    specimens.set_table(pd.DataFrame({"id": [1, 2]}), "mm")
    assert not specimens.stale
    assert specimens.row_of(2)["id"] == 2
    assert specimens.row_of(9) is None
    layer.paint((2, 8, 8), 5)  # the brush, at once
    assert specimens.stale
    specimens.choose(None)
    assert specimens.table is None
    assert len(told) == 4
    layer.paint((2, 3, 8), 5)
    assert len(told) == 4  # nobody listens to a layer that is no longer meant


def test_the_preview_follows_the_labels(viewer) -> None:
    layer = viewer.layers["made"]
    preview = viewer.add_labels(layer.data[::2].copy(), scale=(1.0, 0.1, 0.1))
    specimens = Specimens(viewer)
    specimens.choose(layer, preview)
    layer.data[layer.data == 1] = 0
    specimens.mark_edited()
    assert preview.data.shape == (3, 12, 12)
    assert not (preview.data == 1).any()
    assert (preview.data == 2).any()
    viewer.layers.remove(preview)
    assert specimens.preview is None
    specimens.mark_edited()  # without it nothing happens


def test_selection_keeps_its_order_and_toggles() -> None:
    specimens = Specimens(ViewerModel())
    specimens.select([3, 1, 3, 0, -2])
    assert specimens.selected == (3, 1)
    specimens.toggle(3)
    assert specimens.selected == (1,)
    specimens.toggle(5)
    assert specimens.selected == (1, 5)


def test_going_to_a_specimen_shows_a_slice_that_has_it(viewer) -> None:
    import pandas as pd

    layer = viewer.layers["made"]
    specimens = Specimens(viewer)
    specimens.choose(layer)
    specimens.set_table(pd.DataFrame({"id": [2], "z_first": [0], "z_last": [4]}), "mm")
    go_to_specimen(viewer, specimens, 2)  # the middle slice misses it
    z = round(float(layer.world_to_data(viewer.dims.point)[0]))
    assert (layer.data[z] == 2).any()
    assert layer.selected_label == 2
    centre = layer.data_to_world((z, 8, 8))
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], centre[1:], atol=0.11)
    with pytest.raises(InputError, match="no longer there"):
        go_to_specimen(viewer, specimens, 55)


def test_3d_looks_into_the_rock(viewer) -> None:
    """Slices are numbered away from who looks at them: x right, y down, z into the screen."""
    turn_to_3d(viewer)
    camera = viewer.scene.camera
    assert tuple(map(str, camera.orientation)) == ("away", "down", "right")
    camera.angles = (0, 0, 0)
    np.testing.assert_allclose(camera.view_direction, (1, 0, 0), atol=1e-9)
    np.testing.assert_allclose(camera.up_direction, (0, -1, 0), atol=1e-9)
