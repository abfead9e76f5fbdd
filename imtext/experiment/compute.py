"""An experiment becomes a run, one way for all: train, embed, evaluate, write down.

Runs are returned where finished, resumed where broken off, and computed side by side.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from itertools import cycle
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib
import numpy as np
import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file
from scipy import sparse
from torch import nn

from imtext.data.dataset import Dataset
from imtext.errors import ConfigError, ImtextError, RunError
from imtext.experiment.experiment import Experiment, plain, rebuilt
from imtext.experiment.source import SPLITS, Places, source_of
from imtext.files import told
from imtext.precision import working_precision
from imtext.progress import announce
from imtext.retrieval import evaluate, evaluate_scores
from imtext.runs import Run, RunStore, provenance
from imtext.runs.store import PARTIAL, beside
from imtext.threads import torch_threads
from imtext.training import fit, make_fabric
from imtext.training.device import of_first, processes
from imtext.vision.reading import unit

MODEL, ROW, FOLDS, GALLERY = "model.safetensors", "row.json", 5, 1_000
BYTES_OF_A_ROW = 3 * 2**30
Metrics = dict[str, dict[str, float]]
# Of a split by name: ``images (N, D)`` and ``captions (M, D)``, or ``scores (N, M)``.
Answers = Callable[[str], dict[str, Any]]
# Threads and precision are those of a whole process: a worker of several threads computes one row at a time.
_ONE_HERE = threading.Lock()


class Inputs:
    """What an experiment reads: the splits, and what either part has built of them."""

    def __init__(self, data: Any, image: Any, text: Any, precision: str, places: Places) -> None:
        self.source = source_of(data, places, image.size, precision)
        self.image, self.text = image.build(self.source), text.build(self.source)

    def facts(self) -> dict[str, str]:
        """What a reader wants to know beyond the settings."""
        images = " / ".join(f"{self.source.splits[split].n_images:,}" for split in SPLITS)
        edition, notes = self.source.dataset.edition, "; ".join(self.source.dataset.notes)
        found = {"images: train / validation / test": images, "edition": edition, "notes": notes}
        return {name: said for name, said in found.items() if said} | self.text.facts()


_inputs = lru_cache(maxsize=16)(Inputs)


def inputs_of(experiment: Experiment, places: Places) -> Inputs:
    """The inputs of an experiment, one copy per process."""
    return _inputs(experiment.data, experiment.image, experiment.text, experiment.precision, places)


@dataclass(frozen=True)
class Row:
    """An experiment that is to be run: of which paper, under which name, in which places.

    ``starts``: the rows of ``experiment.start``; ``profile``: said in its provenance.
    """

    paper: str
    slug: str
    experiment: Experiment
    places: Places
    profile: str = ""
    starts: tuple[Row, ...] = ()

    @property
    def inputs(self) -> Inputs:
        """What it reads."""
        return inputs_of(self.experiment, self.places)

    def config(self) -> dict[str, Any]:
        """All that determines the numbers: values, and the contents behind names; a run's hash is of it."""
        fingerprint, weights = self.inputs.source.dataset.fingerprint(), self.inputs.image.digest
        return plain(self.experiment) | {"fingerprint": fingerprint, "weights": weights}


def untrained(experiment: Experiment, inputs: Inputs) -> nn.Module:
    """Network and loss as the training starts."""
    _ = inputs.image.dim, inputs.text.width  # what is built on the way draws random numbers
    torch.manual_seed(experiment.seed)
    return experiment.loss.build(experiment.network.build(inputs), inputs)


def compute(row: Row, run: Run, starts: Sequence[Run] = ()) -> None:
    """Everything a run holds; metrics come last. ``starts``: finished runs of the rows it goes on from."""
    began, one = time.perf_counter(), row.experiment
    work = partial(trained, row) if hasattr(one.network, "build") else partial(one.network.compute, row)
    if not processes()[0] or work.func is trained:  # of several processes the first does all but the training
        answers = work(run, starts)
    if processes()[0]:
        return
    announce(f"{row.slug}, seed {one.seed}: evaluating")
    metrics = {}
    for split in ("val", "test"):
        asked = time.perf_counter()
        found = answers(split)
        answered = time.perf_counter() - asked
        metrics |= row.inputs.image.evaluate(split, found, run)
    test = row.inputs.source.splits["test"]
    about = {"dataset": one.data.dataset, "profile": row.profile, "seed": one.seed, "edition": test.edition}
    # Of the last split, which is the test split; what is put together from other rows needs theirs too.
    about |= {"devices": processes()[1], "query_ms": 1000 * answered / (test.n_images + test.n_captions)}
    run.save_json("source.json", asdict(row.places))
    run.save_json("provenance.json", provenance(row.places.device, time.perf_counter() - began, **about))
    run.save_json("metrics.json", metrics)
    for name in ("checkpoint.pt", ROW):
        (run.dir / name).unlink(missing_ok=True)


def trained(row: Row, run: Run, starts: Sequence[Run]) -> Answers:
    """The answers of a row's network once it is trained; the run keeps curves, weights and words.

    Curves hold every ten epochs what the network reaches on validation, R-sum or for phrases R@1.

    It begins with the weights of the run that it goes on from, if there is one.
    """
    experiment, inputs = row.experiment, row.inputs
    fabric = make_fabric(row.places.device, precision=experiment.precision)
    objective = untrained(experiment, inputs)
    for start in starts:
        load_weights(objective, start.dir / MODEL)
    objective = fabric.to_device(objective)
    if fabric.device.type == "cuda" and inputs.image.trains_cnn:
        objective = objective.to(memory_format=torch.channels_last)
    batches = experiment.loss.batches(inputs, experiment.recipe, experiment.seed, objective.net)
    label, more = f"{row.slug}, seed {experiment.seed}", partial(validated, objective.net, inputs, fabric)
    with inputs.image.training(objective.net):
        curves = fit(fabric, objective, experiment.recipe, batches, run.dir, experiment.seed, label, more)
    if fabric.is_global_zero:
        run.save_table("curves.csv", curves)
        run.save_tensors(MODEL, objective.state_dict())
        inputs.text.save(run)
    return partial(answers_of, faster(objective.net.eval()), inputs, fabric)


def validated(net: nn.Module, inputs: Inputs, fabric: Any, epoch: int) -> dict[str, float]:
    """What a network reaches on validation every ten epochs, if it embeds; chooses nothing, draws nothing."""
    if epoch % 10 or hasattr(net, "scores"):
        return {}
    return {"validation": inputs.image.score("val")(**answers_of(net.eval(), inputs, fabric, "val"))}


def faster(net: nn.Module) -> nn.Module:
    """A trained network with the batch norms of its image CNN, if it has one, folded into convolutions."""
    if getattr(net, "backbone", None) is not None:
        net.backbone = net.backbone.fused()
    return net


def load_weights(module: nn.Module, path: Path) -> None:
    """Load the weights that a run has written.

    Those of a loss that the module does not have are left out; an image CNN that was not trained there stays
    as it is.

    Args:
        module: a loss with its network, or ``nn.ModuleDict({"net": network})``; path: of the file.

    Raises:
        RunError: weights of another network, or no weights.
    """
    own = module.state_dict()
    fresh = {name: value for name, value in own.items() if name.startswith("net.backbone.")}
    wrong = "expected weights of this network, found: {}; train it again"
    with told(path, RunError, (RuntimeError, SafetensorError), wrong):
        kept = load_file(path).items()
        module.load_state_dict(fresh | {n: value for n, value in kept if n in own or n.startswith("net.")})


def answers_of(net: nn.Module, inputs: Inputs, fabric: Any, split: str) -> dict[str, np.ndarray]:
    """What a network says of a split, see ``Answers``."""
    images, captions, block = inputs.image.test(split), inputs.text.test(split), inputs.image.block
    if hasattr(net, "scores"):
        return {"scores": pair_scores(net, images, captions, fabric)}
    return {
        "images": in_blocks(net.embed_images, images, fabric, block),
        "captions": in_blocks(net.embed_captions, captions, fabric, block),
    }


@torch.no_grad()
def pair_scores(net: nn.Module, images: Any, codes: np.ndarray, fabric: Any) -> np.ndarray:
    """Scores ``(N, M)`` by SCAN of images ``(N, R, D)`` with captions ``(M, L)``, some captions at a time."""
    regions = fabric.to_device(torch.from_numpy(in_blocks(net.embed_regions, images, fabric, 256)))
    columns = []
    for part in torch.from_numpy(codes).split(2048):
        words, counts = net.embed_words(fabric.to_device(part))
        columns.append(net.scores(regions, words, None, counts).float().cpu())
    return torch.cat(columns, dim=1).numpy()


@lru_cache(maxsize=8)
def before_training(experiment: Experiment, places: Places) -> dict[str, np.ndarray]:
    """Test embeddings of the network as its training starts."""
    inputs, fabric = inputs_of(experiment, places), make_fabric(places.device)
    with working_precision(experiment.precision):
        net = fabric.to_device(untrained(experiment, inputs).net).eval()
        return answers_of(net, inputs, fabric, "test")


def evaluate_split(dataset: Dataset, split: str, found: dict[str, Any], run: Run) -> Metrics:
    """Keep answers and ranks of a split in the run; its metrics by name.

    Beside ``split`` itself there is ``<split>_folds``: the mean over five consecutive fifths of the images,
    as COCO's 1K protocol has it, or the whole where there are none, see `has_folds`. ``in_folds`` among the
    answers evaluates fifths whose scores are not those of the whole.
    """
    arrays = {name: value for name, value in found.items() if name != "in_folds"}
    kind, search = ("scores", evaluate_scores) if "scores" in arrays else ("embeddings", evaluate)
    arrays["image_of_caption"] = dataset.image_of_caption
    run.save_arrays(f"{kind}-{split}.npz", **arrays)
    whole = folds = search(**arrays, group_of_image=dataset.group_of_image)
    if has_folds(dataset):
        folds = found.get("in_folds", partial(search, **arrays))(folds=FOLDS)
    for name, one in ((split, whole), (f"{split}_folds", folds)):
        ranks = {"image_query": one.image_query_ranks, "text_query": one.text_query_ranks}
        run.save_arrays(f"ranks-{name}.npz", **ranks)
    return {split: whole.row(), f"{split}_folds": folds.row()}


def scores_of(run: Run, split: str = "test") -> np.ndarray:
    """Scores ``(N, M)`` of a finished run: as they were kept, or the cosines of its embeddings."""
    if (run.dir / f"scores-{split}.npz").is_file():
        return run.load_arrays(f"scores-{split}.npz")["scores"]
    arrays = run.load_arrays(f"embeddings-{split}.npz")
    return unit(arrays["images"]) @ unit(arrays["captions"]).T


def has_folds(dataset: Dataset) -> bool:
    """Whether a split is read in fifths too: no group has several images, and they divide by five.

    A split of 1,000 images is the field's gallery of 1,000, and read as a whole.
    """
    single = len(np.unique(dataset.group_of_image)) == dataset.n_images
    return single and dataset.n_images % FOLDS == 0 and dataset.n_images != GALLERY


@torch.no_grad()
def in_blocks(embed: Callable[..., torch.Tensor], rows: Any, fabric: Any, block: int = 4096) -> np.ndarray:
    """Rows, dense or sparse, codes or pixels through one side of a network; the outcome is float32."""
    parts = []
    for begin in range(0, rows.shape[0], block):
        part = rows[begin : begin + block]
        given = torch.from_numpy(part.toarray() if sparse.issparse(part) else np.array(part))
        if given.is_floating_point():
            given = given.to(torch.get_default_dtype())
        parts.append(embed(fabric.to_device(given)).float().cpu())
    return torch.cat(parts).numpy()


def run_one(row: Row, runs_dir: str | Path, jobs: int = 1) -> Run:
    """The finished run of a row: returned if it is there, resumed if it broke off, else computed.

    One thread a row: sums of several differ in their last digits, and rows side by side use cores better.

    Args:
        row: with what it starts from; runs_dir: the run store's root.
        jobs: how many rows all processes of this machine on this folder together train at a time; 0 leaves
            that to the caller.

    Raises:
        RunError, TrainingError, DataError: as their messages say.
    """
    store, config = RunStore(runs_dir), row.config()
    if done := of_first(store.get(row.paper, row.slug, config)):
        return done
    starts = [run_one(start, runs_dir, jobs) for start in row.starts]
    threads = 1 if row.places.device == "cpu" else torch.get_num_threads()
    exact = working_precision(row.experiment.precision)
    first = processes()[0] == 0  # of several, which locks the run, and alone writes into it
    opened = store.open(row.paper, row.slug, config) if first else nullcontext()
    with opened as run, _ONE_HERE, torch_threads(threads), exact:
        run = of_first(run)
        if not run.finished:
            if first:
                run.save_json(ROW, plain(row))
            with _slot(Path(runs_dir) / "cache" / "slots" / platform.node(), jobs if first else 0):
                compute(row, run, starts)
    return of_first(run)


def finished(rows: Sequence[Row], runs_dir: str | Path, jobs: int = 1) -> Iterator[tuple[Row, Run]]:
    """Rows with their runs as these come in, first those that are there; rows only started from come too.

    They are computed by so many processes of this machine, or by the workers of `joblib.parallel_config`,
    which fill the caches too. With 0 ``jobs`` they are written down for ``imtext runs train``.

    Raises:
        RunError: rows were written down; or what stops one row.
    """
    store, waiting = RunStore(runs_dir), []
    for row in dict.fromkeys(rows):
        if run := store.get(row.paper, row.slug, row.config()):
            yield row, run
        else:
            waiting.append(row)
    waiting, root = behind_starts(waiting), Path(runs_dir).resolve()
    backend, workers = joblib.parallel.get_active_backend()
    here = isinstance(backend, joblib.parallel.BACKENDS["loky"])
    if waiting and here and not jobs:
        for row in waiting:
            with store.open(row.paper, row.slug, row.config()) as run:
                run.save_json(ROW, plain(row))
        partial = f"{shlex.quote(str(runs_dir))}/*/*{PARTIAL}"
        raise RunError(f"{len(waiting)} rows wait for `imtext runs train {partial}`; then run this again")
    how = "generator_unordered" if backend.supports_return_generator else "list"
    parallel = joblib.Parallel(min(jobs, len(waiting)) or 1 if here else workers or -1, return_as=how)
    one = joblib.delayed(lambda row: (row, run_one(row, runs_dir, jobs) if here else run_one(row, root, 0)))
    readings = {row.inputs: row for row in waiting}.values()
    with warnings.catch_warnings():
        # joblib replaces a worker that has grown; the row it was given is not lost.
        warnings.filterwarnings("ignore", message="A worker stopped")
        list(map(_fill_caches, readings) if here else parallel(map(joblib.delayed(_fill_caches), readings)))
        yield from parallel(map(one, waiting))


def behind_starts(rows: Sequence[Row]) -> list[Row]:
    """Rows behind all that they start from; those that start from others before those that do not."""
    first = list(dict.fromkeys(start for row in rows for start in row.starts))
    others = sorted((row for row in rows if row not in first), key=lambda row: not row.starts)
    return [*(behind_starts(first) if first else ()), *others]


def _fill_caches(row: Row) -> None:
    """Fill the caches on disk that rows share."""
    for split in SPLITS:
        row.inputs.image.cached(split)


def train(
    folders: Sequence[str | Path], *more: ModuleType, devices: int = 1, cluster: str = ""
) -> Iterator[tuple[Row, Run]]:
    """Rows that lie in folders of unfinished runs, with their runs as these come in.

    With several devices each gets a process, which runs the command that this one was started with: not for
    a notebook. They share the batches of one row after the other; the first of them speaks for all.

    Args:
        folders: in one folder of runs; what is finished by now is passed over.
        more: as for :func:`imtext.experiment.experiment.rebuilt`.
        devices: GPUs that share each batch; for a test, processes on a CPU.
        cluster: ``dask://HOST:PORT`` of a scheduler whose workers compute them; "" for this machine.

    Raises:
        ConfigError: no such cluster, more GPUs than there are, or batch norm on several CPUs.
        RunError: a folder without a row of this data, or what stops one row.
    """
    folders, rows = [Path(folder).resolve() for folder in folders], []
    store = RunStore(folders[0].parents[1])
    for final in (beside(folder, "") for folder in folders):
        if not Run(final).finished:
            rows.append(row := rebuilt(Run(beside(final, PARTIAL)).load_json(ROW), *more))
            if store.folder(row.paper, row.slug, row.config()) != final:
                raise RunError(f"{final}: a row of other data, or of another folder than {store.root}")
    device = rows[0].places.device if rows else "cpu"
    if rows and devices > 1:
        make_fabric(device, devices)
    rank, together = processes()
    where = {"scheduler_host": cluster.replace("dask://", "tcp://")} if cluster else {}
    try:
        kind = "dask" if cluster else "sequential" if together > 1 else "loky"
        workers = joblib.parallel_config(kind, **where)
    except (ImportError, OSError, ValueError) as error:
        known = "expected dask://HOST:PORT of a Dask scheduler, and imtext[cluster] here"
        raise ConfigError(f"cluster {cluster!r}: {known} ({error})") from None
    try:
        with workers:
            found = finished(rows, store.root, jobs_here("auto", "", device))
            yield from (one for one in found if rank == 0)
    except ImtextError:
        if rank:  # the first process says it
            sys.exit(2)
        raise


def jobs_here(jobs: int | str, profile: str, device: str) -> int:
    """Rows side by side; ``"auto"`` is one on a GPU and in ``smoke``, whose rows take less than a start.

    >>> jobs_here("auto", "quick", "cuda"), jobs_here(3, "smoke", "cpu")
    (1, 3)
    """
    if jobs != "auto":
        return int(jobs)
    if device != "cpu" or profile == "smoke":
        return 1
    cores = joblib.cpu_count()
    if hasattr(os, "sysconf"):  # not on Windows
        cores = min(cores, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // BYTES_OF_A_ROW)
    return max(1, cores)


def _slot(folder: Path, jobs: int) -> AbstractContextManager:
    """One of so many places, which all processes that train into the same runs share; of 0 none is needed."""
    if not jobs:
        return nullcontext()
    folder.mkdir(parents=True, exist_ok=True)
    for number in cycle(range(jobs)):
        with suppress(Timeout):
            return FileLock(folder / f"{number}.lock").acquire(timeout=0.1)
