"""What the tables say in words."""

from __future__ import annotations

from napari_fossiledit.pipeline.experiment_findings import tally


def _interval(value, low, high):
    return {"value": value, "low": low, "high": high}


def test_certain_changes_are_counted() -> None:
    up, down = _interval(0.03, 0.01, 0.05), _interval(-0.02, -0.03, -0.01)
    unsure = _interval(0.01, -0.01, 0.03)
    assert tally([up, up, unsure]) == "up in 2 of 3, uncertain in 1 (+0.010 to +0.030)"
    assert tally([down, unsure]) == "down in 1 of 2, uncertain in 1 (-0.020 to +0.010)"
    assert tally([unsure]) == "uncertain in 1 of 1 (+0.010)"


def test_what_has_no_interval_is_uncertain() -> None:
    assert tally([_interval(0.5, None, None)]) == "uncertain in 1 of 1 (+0.500)"
    assert tally([_interval(None, None, None)]) == "not known"
    assert tally([]) == "not known"
