"""Features of a frozen backbone: computed once, kept on disk, shared by every row that asks again."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from filelock import FileLock
from numpy.lib import format as npy
from torch import Tensor

from imtext.data.transforms import augment, centre, mirror, normalise
from imtext.errors import ConfigError, DataError
from imtext.precision import DTYPES
from imtext.progress import progress
from imtext.threads import torch_threads

if TYPE_CHECKING:
    from imtext.data.images import ImageStore
    from imtext.vision.backbones import Backbone

_VERSION = 2
# Random numbers are drawn anew for every 128 images, so that neither the batch size nor a restart moves them.
_CHUNK = 128


@dataclass(frozen=True, eq=False)
class Features:
    """Features of all N images of a store, memory-mapped and read-only.

    Attributes:
        eval: ``(2, N, D)`` float32, of the centre crop and of its mirror; ``(1, N, D)`` without the latter.
        train: ``(views, N, D)`` float32, each view a random-resized crop, mirrored half of the time.
        key: hash of all that determines them.
    """

    eval: np.ndarray
    train: np.ndarray
    key: str


def extract_features(
    backbone: Backbone,
    store: ImageStore,
    cache_dir: str | os.PathLike[str],
    crop: int,
    views: int = 0,
    mirror: bool = True,
    seed: int = 0,
    batch_size: int | None = None,
    device: str | torch.device = "cpu",
    channels_last: bool = True,
    precision: str = "32",
    scale: tuple[float, float] = (0.6, 1.0),
    evaluation: bool = True,
) -> Features:
    """Features of every image of ``store``, from the cache where it has them.

    The cache key holds the backbone's name and weights, the store's fingerprint and the parameters that
    change the result: ``crop``, ``mirror``, ``precision``; for the training views also ``views``, ``seed``
    and ``scale``. A second process waits for the first. A broken-off call goes on where it stopped and ends
    with the same numbers. Batch norms are folded into the convolutions and use their stored statistics.

    Args:
        backbone: any module with ``name``, ``dim``, ``mean``, ``std``, ``weights_digest`` and ``fused()``.
        store: pixels, at least ``crop`` on each side.
        cache_dir: folder for the ``.npy`` files; made if absent.
        crop: side in pixels that the backbone sees.
        views: number of augmented views for training (Instance Loss paper, section 6.2: random crops, flips).
        mirror: whether ``eval`` holds the mirror image as well (section 6.2 averages the two embeddings).
        seed: of the training views.
        batch_size: images per forward pass; default 16 on a CPU, whose caches it fits (measured: 1.8 times
            as fast as 128), and 256 elsewhere.
        device: where the backbone runs.
        channels_last: memory layout, faster on CPU and on GPU with tensor cores.
        precision: ``"32"``; ``"64"``, slower, whose features are the same on every processor; or ``"bf16"``
            for autocast on CUDA. Features are kept in float32 whichever it is.
        scale: least and largest share of the area of a training crop.
        evaluation: whether to compute ``eval``; without, it has no sides: ``(0, N, D)``.

    Raises:
        ConfigError: a parameter is out of range.
        DataError: a feature is not finite, or the disk is full.
    """
    device, batch_size = _where(device, batch_size)
    _check(store, crop, views, batch_size, device, precision)
    kept = _Views(
        store,
        crop,
        device,
        batch_size,
        Path(cache_dir).expanduser() / f"features-{backbone.name}",
        _content(backbone, store, crop, precision),
        (backbone.dim,),
        _lazy_runner(backbone, device, batch_size, channels_last, precision),
    )
    return kept.features(views, mirror, seed, scale, evaluation)


@dataclass(frozen=True, eq=False)
class _Views:
    """One array per image and view, cached: what is computed, of what, and where it is kept."""

    store: ImageStore
    crop: int
    device: torch.device
    batch_size: int
    path: Path  # of the files, less the key
    content: dict[str, object]  # what the key is made of, beside the views
    shape: tuple[int, ...]  # of one image's array
    run: Callable[[Tensor], Tensor]
    dtype: str = "<f4"

    def features(
        self, views: int, mirror: bool, seed: int, scale: tuple[float, float], evaluation: bool
    ) -> Features:
        """Arrays of the centre crops and of the training views, computed where they are not there."""
        store, crop, device = self.store, self.crop, self.device
        shape = (len(store), *self.shape)
        key = _key({**self.content, "mirror": mirror})
        evaluated = trained = np.zeros((0, *shape), dtype=self.dtype)
        if evaluation:
            evaluated = self._array(
                key, 2 if mirror else 1, lambda group: _centre_views(store, group, crop, device)
            )
        if not views:
            return Features(evaluated, trained, key)
        train_key = _key({**self.content, "views": views, "seed": seed, "scale": list(map(float, scale))})
        trained = self._array(
            train_key, views, lambda group: _train_views(store, group, crop, seed, scale, device)
        )
        return Features(evaluated, trained, _key({"eval": key, "train": train_key}))

    def _array(self, key: str, views: int, images: Callable[[list[Chunk]], Tensor]) -> np.ndarray:
        return _cached(
            self.path.with_name(f"{self.path.name}-{key}.npy"),
            (views, len(self.store), *self.shape),
            _chunks(views, len(self.store)),
            lambda group: self.run(images(group)),
            self.batch_size,
            self.dtype,
        )


def _where(device: str | torch.device, batch_size: int | None) -> tuple[torch.device, int]:
    """The device, and the batch size where none is given."""
    device = torch.device(device)
    if batch_size is None:
        batch_size = 16 if device.type == "cpu" else 256
    return device, batch_size


def _content(backbone: Backbone, store: ImageStore, crop: int, precision: str) -> dict[str, object]:
    """What every feature depends on, for the cache key."""
    return {
        "version": _VERSION,
        "backbone": backbone.name,
        "weights": backbone.weights_digest,
        "store": store.fingerprint,
        "crop": crop,
        "precision": precision,
    }


def _check(
    store: ImageStore, crop: int, views: int, batch_size: int, device: torch.device, precision: str
) -> None:
    if not 1 <= crop <= store.size:
        raise ConfigError(f"crop={crop}: expected 1 to {store.size}, the size of the stored images")
    if views < 0 or batch_size < 1:
        raise ConfigError(f"views={views}, batch_size={batch_size}: expected views >= 0 and batch_size >= 1")
    if precision not in (*DTYPES, "bf16") or (precision == "bf16" and device.type != "cuda"):
        raise ConfigError(
            f"precision={precision!r} on {device.type}: expected '32' or '64', or 'bf16' on cuda"
        )
    if len(store) == 0:
        raise DataError("features: the image store is empty; check the dataset")


def _key(content: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


Chunk = tuple[int, int, int]  # view, first image, one past the last


def _chunks(views: int, count: int) -> list[Chunk]:
    return [(v, a, min(a + _CHUNK, count)) for v in range(views) for a in range(0, count, _CHUNK)]


def _forward(net: Backbone, pixels: Tensor) -> Tensor:
    return net(pixels)


def _runner(
    backbone: Backbone,
    device: torch.device,
    batch_size: int,
    channels_last: bool,
    precision: str,
    read: Callable[[Backbone, Tensor], Tensor],
) -> Callable[[Tensor], Tensor]:
    """A function from uint8 images on ``device`` to float32 features on it."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    dtype = DTYPES.get(precision, torch.float32)
    net = backbone.fused().to(device=device, dtype=dtype, memory_format=layout)

    def run(images: Tensor) -> Tensor:
        parts = []
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            for part in images.split(batch_size):
                pixels = normalise(part, backbone.mean, backbone.std, dtype).contiguous(memory_format=layout)
                parts.append(read(net, pixels).float())
        return torch.cat(parts)

    return run


def _lazy_runner(
    backbone: Backbone,
    device: torch.device,
    batch_size: int,
    channels_last: bool,
    precision: str,
    read: Callable[[Backbone, Tensor], Tensor] = _forward,
) -> Callable[[Tensor], Tensor]:
    """The same, folded and moved only where something has to be computed.

    ``read`` takes the folded network and normalised pixels and gives what is kept of them.
    """
    ready: list[Callable[[Tensor], Tensor]] = []

    def run(images: Tensor) -> Tensor:
        if not ready:
            ready.append(_runner(backbone, device, batch_size, channels_last, precision, read))
        return ready[0](images)

    return run


def _images(store: ImageStore, first: int, last: int, device: torch.device) -> Tensor:
    return store.batch(np.arange(first, last)).to(device)


def _centre_views(store: ImageStore, group: list[Chunk], crop: int, device: torch.device) -> Tensor:
    """Centre crops of each chunk, mirrored where its view is 1."""
    crops = [(view, centre(_images(store, first, last, device), crop)) for view, first, last in group]
    return torch.cat([mirror(images) if view else images for view, images in crops])


def _train_views(
    store: ImageStore,
    group: list[Chunk],
    crop: int,
    seed: int,
    scale: tuple[float, float],
    device: torch.device,
) -> Tensor:
    """Augmented images of each chunk, drawn from a generator that belongs to the chunk."""
    views = []
    for view, first, last in group:
        state = np.random.SeedSequence([seed, view, first]).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
        views.append(augment(_images(store, first, last, device), crop, generator, scale=scale))
    return torch.cat(views)


def _cached(
    path: Path,
    shape: tuple[int, ...],
    chunks: list[Chunk],
    compute: Callable[[list[Chunk]], Tensor],
    batch_size: int,
    dtype: str = "<f4",
) -> np.ndarray:
    """The array at ``path``, computed first where it is not there."""
    found = _open(path, shape, dtype)
    if found is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if _open(path, shape, dtype) is None:
                _write(path, shape, chunks, compute, max(1, batch_size // _CHUNK), dtype)
    except OSError as error:
        need = math.prod(shape) * np.dtype(dtype).itemsize / 1e6
        raise DataError(
            f"cache_dir={path.parent}: cannot write features of {need:,.0f} MB, found: "
            f"{error.strerror or error}; free space or choose another cache_dir"
        ) from None
    found = _open(path, shape, dtype)
    if found is None:
        raise DataError(f"{path}: the features cannot be read back; delete the file and try again")
    return found


def _open(path: Path, shape: tuple[int, ...], dtype: str) -> np.ndarray | None:
    """The finished file, None where it is absent or damaged."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return array if array.shape == shape and array.dtype == np.dtype(dtype) else None


def _write(
    path: Path,
    shape: tuple[int, ...],
    chunks: list[Chunk],
    compute: Callable[[list[Chunk]], Tensor],
    together: int,
    dtype: str,
) -> None:
    """Append whole chunks to a partial file, from where an earlier call stopped; rename when complete."""
    partial = path.with_suffix(".partial")
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    with open(partial, "r+b" if partial.exists() else "w+b") as file:
        npy.write_array_header_1_0(file, header)
        data_starts = file.tell()
        ends = np.cumsum([last - first for _, first, last in chunks])
        row = math.prod(shape) * np.dtype(dtype).itemsize // int(ends[-1])  # bytes
        rows_kept = max(os.fstat(file.fileno()).st_size - data_starts, 0) // row
        done = int(np.searchsorted(ends, rows_kept, side="right"))
        file.seek(data_starts + (row * int(ends[done - 1]) if done else 0))
        file.truncate()
        groups = list(_groups(chunks[done:], together))
        title = f"features {path.stem.removeprefix('features-')[:20]}"
        for group, rows in progress(
            zip(groups, _side_by_side(compute, groups), strict=True), title, len(groups)
        ):
            if not bool(rows.isfinite().all()):
                wider = "precision='32'" if dtype == "<f4" else "dtype='float32'"
                raise DataError(
                    f"features of images {group[0][1]} to {group[-1][2] - 1} hold NaN or infinity; "
                    f"check the weights, or use {wider}"
                )
            file.write(rows.cpu().numpy().tobytes())
            file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def _side_by_side(compute: Callable[[list[Chunk]], Tensor], groups: list[list[Chunk]]) -> Iterator[Tensor]:
    """The groups' features in order, on a CPU one group per thread.

    A forward pass of a few small images gains little from several threads (measured: nothing at 16 images on
    two), and one thread gives the same digits for any number of cores.
    """
    threads = torch.get_num_threads()
    if not groups:
        return
    with torch_threads(1):
        yield compute(groups[0])  # the first call folds the backbone
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(compute, groups[1:])


def _groups(chunks: list[Chunk], together: int) -> Iterator[list[Chunk]]:
    """Up to ``together`` neighbouring chunks of one view."""
    group: list[Chunk] = []
    for chunk in chunks:
        if group and (len(group) == together or chunk[0] != group[0][0]):
            yield group
            group = []
        group.append(chunk)
    if group:
        yield group
