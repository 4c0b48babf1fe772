"""Cholesky factors in float64, and what to do where there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from scipy.linalg import lapack

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import checkpoint

__all__ = ["Factor", "factorise"]


@dataclass(frozen=True)
class Factor:
    """The factor of a symmetric matrix; a LAPACK array on the CPU, else a tensor."""

    triangle: Any

    def solve(self, right: torch.Tensor) -> torch.Tensor:
        """Solve ``matrix @ z = right``, (D, out) float64."""
        checkpoint()
        if isinstance(self.triangle, torch.Tensor):
            return torch.cholesky_solve(right, self.triangle)
        return torch.from_numpy(lapack.dpotrs(self.triangle, right.numpy(), lower=1)[0])


def factorise(gram: torch.Tensor, dtype: torch.dtype) -> Factor:
    """Factorise ``gram`` (float64, upper triangle, overwritten).

    Parameters
    ----------
    gram : (D, D) float64 tensor
    dtype : torch.dtype
        Of the data that the matrix was made of: its rounding noise decides what is singular.

    Raises
    ------
    InputError
        If the matrix is singular.
    """
    checkpoint()
    largest = float(gram.diagonal().max())
    factor: Any
    if gram.device.type == "cpu":
        # In place, and by SciPy's LAPACK: torch's copies, and is slow on some processors.
        factor, info = lapack.dpotrf(gram.numpy().T, lower=1, overwrite_a=1, clean=0)
        diagonal = torch.from_numpy(factor.diagonal().copy())
    else:
        factor, info = torch.linalg.cholesky_ex(gram.mT)
        diagonal = factor.diagonal()
    # A pivot at the input's own rounding noise means that the data do not determine the delta.
    noise = 1e-14 if dtype == torch.float64 else 1e-7
    if int(info) != 0 or not float(diagonal.min()) ** 2 > noise * largest:
        raise InputError(
            "The edit cannot be solved, because the features of the chosen area are not varied "
            "enough (the system is singular): raise the damping, e.g. to 0.1."
        )
    return Factor(factor)
