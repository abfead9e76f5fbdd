"""Fisher vectors of captions under a mixture of Gaussians and Laplacians."""

from __future__ import annotations

from imtext.text.fisher.encode import fisher_vector, signed_root
from imtext.text.fisher.features import FisherVectors
from imtext.text.fisher.ica import unmixing_matrix
from imtext.text.fisher.mixture import GaussianMixture, HybridMixture

__all__ = [
    "FisherVectors",
    "GaussianMixture",
    "HybridMixture",
    "fisher_vector",
    "signed_root",
    "unmixing_matrix",
]
