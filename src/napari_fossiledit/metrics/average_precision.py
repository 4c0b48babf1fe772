"""COCO's average precision, by pycocotools, without its printing."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.metrics.matching import check_labels

__all__ = ["average_precision"]

MAX_DETECTIONS = [1, 100, 500]
AT_75 = 5  # index of IoU 0.75 in COCO's thresholds .5, .55 ... .95
# Two threads that redirect stdout at once could leave it redirected for ever.
_quiet = threading.Lock()


def average_precision(
    slices: Sequence[LabelledSlice], predictions: Sequence[Instances]
) -> dict[str, float | None]:
    """COCO's AP of masks, for any class, with up to 500 detections a slice.

    Parameters
    ----------
    slices : sequence of LabelledSlice
    predictions : sequence of Instances
        One for each slice, at confidence 0.

    Returns
    -------
    dict
        ``AP`` (mean over IoU .5 to .95), ``AP50``, ``AP75`` and ``AR`` (recall, mean over the
        same IoU), each in [0, 1]; None when no slice has a fossil.

    Raises
    ------
    InputError
        When numbers or shapes do not agree.

    Notes
    -----
    Source: Lin et al. (2014), Microsoft COCO, and its `pycocotools`; classes are not compared,
    as labels have none.
    """
    if len(slices) != len(predictions):
        raise InputError(
            f"There are {len(slices)} labelled slices but {len(predictions)} predictions: "
            "give one for each slice."
        )
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number, (labelled, prediction) in enumerate(zip(slices, predictions, strict=True), 1):
        name = labelled.name or f"slice {number - 1}"
        check_labels(labelled.labels, prediction.shape, name)
        truth += _rows(Instances.from_labels(labelled.labels), number, len(truth))
        found += _rows(prediction, number, len(found))
    if not truth:
        return dict.fromkeys(("AP", "AP50", "AP75", "AR"))
    return _evaluate(truth, found, [p.shape for p in predictions])


def _rows(instances: Instances, image_id: int, already: int) -> list[dict[str, Any]]:
    """COCO annotations; their ids start at 1, as pycocotools takes 0 for 'no match'."""
    areas = instances.areas()
    rows: list[dict[str, Any]] = []
    for row, area in zip(instances.to_coco(), areas, strict=True):
        rows.append(
            {
                **row,
                "id": already + len(rows) + 1,
                "image_id": image_id,
                "category_id": 1,
                "area": int(area),
                "iscrowd": 0,
            }
        )
    return rows


def _evaluate(
    truth: list[dict[str, Any]], found: list[dict[str, Any]], shapes: list[tuple[int, int]]
) -> dict[str, float | None]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def as_coco(rows: list[dict[str, Any]]) -> Any:
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i + 1, "height": h, "width": w} for i, (h, w) in enumerate(shapes)],
            "categories": [{"id": 1, "name": "fossil"}],
            "annotations": rows,
        }
        coco.createIndex()
        return coco

    with _quiet, redirect_stdout(io.StringIO()):
        run = COCOeval(as_coco(truth), as_coco(found), "segm")
        run.params.maxDets = MAX_DETECTIONS
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, 0, 0, -1]  # (IoU, recall)
    return {
        "AP": _mean(precision),
        "AP50": _mean(precision[0]),
        "AP75": _mean(precision[AT_75]),
        "AR": _mean(run.eval["recall"][:, 0, 0, -1]),
    }


def _mean(values: Any) -> float | None:
    """Return the mean of what COCO could compute (-1 marks the rest)."""
    known = np.asarray(values)[np.asarray(values) > -1]
    return float(known.mean()) if known.size else None
