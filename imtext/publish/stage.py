"""The stage: a copy of the book's tree in which notebooks carry the outputs of the published profile."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from imtext.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent.parent


def make_stage(root: Path, build: Path) -> Path:
    """Bring ``build/stage`` level with the book's tree under ``root``; executed notebooks there stay.

    A notebook that has no executed copy yet is staged as committed. What left the tree leaves the stage.

    Raises:
        ConfigError: ``root`` does not hold the book.
    """
    if not (root / "_config.yml").is_file():
        raise ConfigError(f"{root}: no _config.yml here; run from the root of the repository")
    stage, notebooks = build / "stage", find_notebooks(root)
    staged = stage / "notebooks"
    staged.mkdir(parents=True, exist_ok=True)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(root / name, stage)
    for name in ("book", "results"):
        shutil.rmtree(stage / name, ignore_errors=True)
        shutil.copytree(root / name, stage / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    for name in {path.name for path in staged.glob("*.ipynb")} - {path.name for path in notebooks}:
        (staged / name).unlink()
    for path in notebooks:
        if not (staged / path.name).exists():
            shutil.copy(path, staged)
    return stage


def find_notebooks(root: Path, names: Iterable[str] = ()) -> list[Path]:
    """The notebooks of the book, or those named (``instance_loss``, with or without folder and suffix).

    Raises:
        ConfigError: a name is not that of a notebook.
    """
    present = {path.stem: path for path in sorted((root / "notebooks").glob("*.ipynb"))}
    stems = [Path(name).stem for name in names]
    for stem in stems:
        if stem not in present:
            raise ConfigError(f"no notebook named '{stem}'; there are: {', '.join(present) or 'none'}")
    return [present[stem] for stem in stems or present]


def digest_files(paths: Iterable[Path], base: Path) -> str:
    """One hash of the names (relative to ``base``) and contents of files; folders are passed over."""
    total = hashlib.sha256()
    for path in sorted(path for path in paths if path.is_file()):
        total.update(path.relative_to(base).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def digest_sources(package: Path = PACKAGE) -> str:
    """One hash of what can change a number: the package without publishing and the commands."""
    paths = (path for pattern in ("*.py", "*.yaml") for path in package.rglob(pattern))
    others = ("publish", "commands", "cli.py")
    return digest_files((path for path in paths if path.relative_to(package).parts[0] not in others), package)
