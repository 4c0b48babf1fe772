"""Whole jobs over many slices: segment, probe, evaluate, compare, and the demo."""

from __future__ import annotations

from napari_fossiledit.pipeline.advice import Advice, AdvicePoint, Judged
from napari_fossiledit.pipeline.advisor import advise, advise_task
from napari_fossiledit.pipeline.curves import Comparison, Curve, CurvePoint, compare, compare_task
from napari_fossiledit.pipeline.evaluate import Evaluation, evaluate, evaluate_task
from napari_fossiledit.pipeline.experiment import Experiment, experiment, experiment_task
from napari_fossiledit.pipeline.probe import VERSIONS, ProbeResult, ProbeRow, probe, probe_task
from napari_fossiledit.pipeline.probe_instances import InstanceScore, ProbedInstance
from napari_fossiledit.pipeline.probe_textures import TextureClass
from napari_fossiledit.pipeline.segment import segment, segment_task
from napari_fossiledit.pipeline.whole_stack import segment_stack, segment_stack_task

__all__ = [
    "VERSIONS",
    "Advice",
    "AdvicePoint",
    "Comparison",
    "Curve",
    "CurvePoint",
    "Evaluation",
    "Experiment",
    "InstanceScore",
    "Judged",
    "ProbeResult",
    "ProbeRow",
    "ProbedInstance",
    "TextureClass",
    "advise",
    "advise_task",
    "compare",
    "compare_task",
    "evaluate",
    "evaluate_task",
    "experiment",
    "experiment_task",
    "probe",
    "probe_task",
    "segment",
    "segment_stack",
    "segment_stack_task",
    "segment_task",
]
