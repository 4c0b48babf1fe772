from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_fossiledit import volume
from napari_fossiledit.errors import InputError


def _specimens() -> np.ndarray:
    labels = np.zeros((3, 10, 12), np.int32)
    labels[0, 1:4, 1:5] = 1
    labels[1, 1:4, 2:6] = 1
    labels[1, 6:9, 6:10] = 2
    labels[2, 0, 0] = 3
    return labels


def _instances() -> pd.DataFrame:
    rows = [(0, 1, 0.9, 1, 1, 5, 4, 12), (1, 1, 0.5, 2, 1, 6, 4, 12), (1, 2, 0.7, 6, 6, 10, 9, 12)]
    return pd.DataFrame(rows, columns=["slice", "id", "score", "x0", "y0", "x1", "y1", "area"])


def test_scores_are_found_by_the_place_of_the_instances() -> None:
    table = volume.measure(_specimens(), (1, 1, 1), surface=False, scores=_instances())
    assert table["mean_score"].tolist() == pytest.approx([0.7, 0.7, np.nan], nan_ok=True)


def test_scores_of_instances_that_name_their_specimen() -> None:
    named = pd.DataFrame({"specimen": [2, 2, 1, 9, 0], "score": [0.5, 0.7, np.nan, 0.1, 0.2]})
    table = volume.measure(_specimens(), (1, 1, 1), surface=False, scores=named)
    assert table["mean_score"].tolist() == pytest.approx([np.nan, 0.6, np.nan], nan_ok=True)


def test_instances_that_lie_elsewhere_or_were_edited_count_for_nothing() -> None:
    other = _instances().assign(x0=6, x1=9, y0=0, y1=3)
    table = volume.measure(_specimens(), (1, 1, 1), surface=False, scores=other)
    assert table["mean_score"].isna().all()
    other = _instances().assign(area=13)
    table = volume.measure(_specimens(), (1, 1, 1), surface=False, scores=other)
    assert table["mean_score"].isna().all()


def test_other_tables_are_refused() -> None:
    for wrong in (pd.DataFrame({"score": [1.0]}), _instances().drop(columns="score")):
        with pytest.raises(InputError, match="columns score and specimen"):
            volume.measure(_specimens(), (1, 1, 1), surface=False, scores=wrong)
