"""Run every benchmark, print the table and keep it in ``RESULTS.md``."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path

import edit_time
import fills
import import_time
import large_model
import large_slice
import link_reefs
import linking
import preview
import sample_reef
import segmenting
import versus_detectron2
import whole_stack

import viewer

_ALL = (
    import_time,
    sample_reef,
    large_slice,
    segmenting,
    fills,
    edit_time,
    large_model,
    versus_detectron2,
    viewer,
    preview,
    whole_stack,
    linking,
    link_reefs,
)


def machine() -> str:
    """Processor, cores and versions, for the head of the table."""
    import torch

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = models[0].split(":")[1].strip() if models else name
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{name}, {os.cpu_count()} cores, {gpu}; {platform.system()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def main() -> None:
    """Measure, print, write."""
    rows = []
    for module in _ALL:
        print(f"{module.__name__} ...", flush=True)
        for row in module.measure():
            print("  " + row.line(), flush=True)
            rows.append(row)
    text = "\n".join(
        [
            "# Last results",
            "",
            f"{datetime.date.today().isoformat()}, {machine()}. Made by `make bench`.",
            "",
            "| what | measured | limit | met | how |",
            "|---|---|---|---|---|",
            *(row.line() for row in rows),
            "",
        ]
    )
    Path(__file__).with_name("RESULTS.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
