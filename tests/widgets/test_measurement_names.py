from __future__ import annotations

import pytest
from napari.layers import Labels

from napari_fossiledit.volume import measure
from napari_fossiledit.widgets.measurement_names import (
    axial_columns,
    column_tip,
    column_title,
    numeric_columns,
    unit_name,
)


@pytest.mark.parametrize(
    ("units", "name"),
    [
        (("mm", "mm", "mm"), "mm"),
        (("um", "um", "um"), "um"),
        (("micrometer", "um", "µm"), "um"),
        (("pixel", "pixel", "pixel"), "pixel"),
        (("mm", "um", "um"), ""),
    ],
)
def test_the_unit_of_a_layer(units, name: str) -> None:
    import numpy as np

    layer = Labels(np.zeros((2, 2, 2), np.int32), units=units)
    assert unit_name(layer.units) == name


@pytest.mark.parametrize(
    ("column", "unit", "title"),
    [
        ("volume_mm3", "mm", "volume\nmm³"),
        ("surface_um2", "um", "surface\nµm²"),
        ("equivalent_diameter_pixel", "pixel", "equivalent diameter\npixel"),
        ("plunge_deg", "mm", "plunge\n°"),
        ("bbox_z_min_mm", "mm", "z min\nmm"),
        ("elongation", "mm", "elongation"),
        ("mean_section_mm2", "mm", "mean section\nmm²"),
    ],
)
def test_heads_name_the_unit(column: str, unit: str, title: str) -> None:
    assert column_title(column, unit) == title


def test_every_column_of_the_library_is_explained() -> None:
    import numpy as np

    labels = np.zeros((4, 6, 6), np.int32)
    labels[1:3, 1:5, 1:4] = 1
    table = measure(labels, (1.0, 0.5, 0.5), unit="mm")
    for name in table.columns:
        assert column_tip(name, "mm"), name
        assert "_" not in column_title(name, "mm"), name
    assert "id" not in numeric_columns(table.columns)
    assert axial_columns(table.columns) == {"azimuth_deg"}
