"""Whole jobs over many slices: segment, probe, evaluate, compare, and the demo."""

from __future__ import annotations

from napari_fossiledit.pipeline.curves import Comparison, Curve, CurvePoint, compare, compare_task
from napari_fossiledit.pipeline.evaluate import Evaluation, evaluate, evaluate_task
from napari_fossiledit.pipeline.probe import VERSIONS, ProbeResult, ProbeRow, probe, probe_task
from napari_fossiledit.pipeline.segment import segment, segment_task

__all__ = [
    "VERSIONS",
    "Comparison",
    "Curve",
    "CurvePoint",
    "Evaluation",
    "ProbeResult",
    "ProbeRow",
    "compare",
    "compare_task",
    "evaluate",
    "evaluate_task",
    "probe",
    "probe_task",
    "segment",
    "segment_task",
]
