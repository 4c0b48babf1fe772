"""Scores of predicted instances against labels, with bootstrap intervals."""

from __future__ import annotations

from napari_fossiledit.metrics.ap_intervals import (
    DetectionMatches,
    ap50,
    ap50_difference,
    match_detections,
)
from napari_fossiledit.metrics.average_precision import average_precision
from napari_fossiledit.metrics.class_contrasts import class_contrasts
from napari_fossiledit.metrics.equal_recall import excess_at_equal_recall
from napari_fossiledit.metrics.instance_scores import (
    InstanceScores,
    Means,
    score_instances,
    score_slices,
)
from napari_fossiledit.metrics.intervals import Interval, difference, intervals
from napari_fossiledit.metrics.matching import Overlaps, overlaps
from napari_fossiledit.metrics.volume_scores import VolumeScores, score_volume

__all__ = [
    "DetectionMatches",
    "InstanceScores",
    "Interval",
    "Means",
    "Overlaps",
    "VolumeScores",
    "ap50",
    "ap50_difference",
    "average_precision",
    "class_contrasts",
    "difference",
    "excess_at_equal_recall",
    "intervals",
    "match_detections",
    "overlaps",
    "score_instances",
    "score_slices",
    "score_volume",
]
