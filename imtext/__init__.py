"""imtext: reproductions of five papers on learning image-text embeddings, as a thin library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__version__ = "0.1.0"


def load(run: str | Path, device: str = "cpu") -> Any:
    """The finished run in a folder as an encoder, see :class:`imtext.experiment.encoder.Encoder`.

    Raises:
        RunError: a folder that holds no finished run, or a damaged one.
    """
    from imtext.experiment.encoder import load as load_run  # `import imtext` pulls in nothing

    return load_run(run, device)
