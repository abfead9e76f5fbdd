"""The command ``imtext``: the book, one notebook, data, runs, embeddings in a file, search.

A command is a function: its annotations say what it takes, its docstring is its help. What a user can cause
ends as one line on standard error and exit code 2. Heavy modules are imported by the command that needs
them, so that ``imtext --help`` answers at once.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from cyclopts import App, CycloptsError, Parameter
from cyclopts.help import DefaultFormatter, PanelSpec
from cyclopts.types import PositiveInt
from rich.box import Box
from tqdm import tqdm

from imtext import __version__
from imtext.errors import ConfigError, DataError, ImtextError, one_line, print_anything
from imtext.files import read_object, size_of, told
from imtext.publish.notebooks import FOLDERS, find_notebooks, normalise_file

app = App(
    "imtext",
    help="Image-text embeddings: reproduce, evaluate, search.",
    version=f"imtext {__version__}",
    help_flags="--help",
    help_format="plaintext",
    help_formatter=DefaultFormatter(panel_spec=PanelSpec(box=Box("    \n" * 8), padding=(0, 3))),
    default_parameter=Parameter(negative=(), allow_repeating=True, show_default=lambda one: one or None),
    result_action="return_value",
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,
)
app.register_install_completion_command()
book = app.command(App("book", help="Execute the notebooks of this checkout, build the pages, publish runs."))
data = app.command(App("data", help="Fetch a dataset, check it, pack it into one file."))
runs = app.command(App("runs", help="List, show, train or remove stored runs."))


def typed_path(_: Any, tokens: Sequence[Any]) -> Path:
    """A path as it was typed; the shell leaves the ``~`` of ``--root=~/pets`` alone."""
    return Path(os.path.expanduser(tokens[0].value))


Place = Annotated[Path, Parameter(converter=typed_path)]
Pairs = Annotated[
    tuple[tuple[str, str], ...],
    Parameter(name=("-p", "--option"), metavar="NAME VALUE", allow_leading_hyphen=True, json_list=False),
]
Device = Literal["auto", "cpu", "cuda"]
RunsDir = Annotated[Place, Parameter(env_var="IMTEXT_RUNS", help="folder of runs")]
HERE, BUILD, RUNS = Path(), Path("_build"), Path("runs")
_size = partial(tqdm.format_sizeof, suffix="B")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done; 1: a check found errors; 2: something the user can mend; 130: stopped by hand.

    >>> main(["evaluate", "nowhere.npz"])  # the message goes to standard error
    2
    """
    print_anything()
    try:
        code = app(argv) or 0
        sys.stdout.flush()
    except ImtextError as error:
        print(f"imtext: error: {error}", file=sys.stderr)
        return 2
    except CycloptsError as error:
        command = " ".join(("imtext", *(error.command_chain or ())))
        print(f"imtext: error: {one_line(error)} See {command} --help.", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("imtext: stopped; run the same command again to resume", file=sys.stderr)
        return 130
    return code


def values(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """What ``-p NAME VALUE`` gives: a value is YAML, a folder as it is written, from where the user stands.

    Raises:
        ConfigError: a value is not YAML.

    >>> values([("seeds", "[0, 1]"), ("subset", "true"), ("data_root", "/data/../photographs #2")])
    {'seeds': [0, 1], 'subset': True, 'data_root': '/photographs #2'}
    """
    found = {}
    for name, text in pairs:
        try:
            folder = name in FOLDERS
            found[name] = os.path.abspath(os.path.expanduser(text)) if folder else yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):
            raise ConfigError(f"-p {name} {text}: cannot be read; write text, a number or a list") from None
    return found


@app.command
def evaluate(
    embeddings: Place,
    /,
    *,
    captions_per_image: int | None = None,
    folds: int = 1,
    json_: bool = False,
    device: Device = "cpu",
) -> None:
    """Compute recalls, ranks and R-sum of embeddings in a file.

    An .npz or .safetensors file, or a folder of .npy files, with images
    (N, D), captions (M, D) and image_of_caption (M,), the index of each
    caption's image. Scores are cosines; ties are broken by index.

    For example: imtext evaluate embeddings.npz --folds 5

    Args:
        embeddings: the file or folder
        captions_per_image: captions of each image, in the order of the images, instead of image_of_caption
        folds: mean over this many consecutive blocks of images (COCO 1K: 5)
        json_: print one JSON object instead of a table
        device: where to compute
    """
    from imtext.retrieval import evaluate, load_embeddings
    from imtext.training.device import resolve_device

    arrays = load_embeddings(embeddings, captions_per_image)
    with told(embeddings, of=DataError, said="{}"):
        result = evaluate(*arrays, folds=folds, device=resolve_device(device))
    blocks = f", mean of {folds} folds" if folds > 1 else ""
    about = f"{result.image_query.n:,} images, {result.text_query.n:,} captions{blocks}"
    print(_json(result) if json_ else f"{about}\n{result}")


@app.command
def search(
    run: Place,
    query: str,
    /,
    *,
    gallery: Place | None = None,
    top: PositiveInt = 5,
    out: Place | None = None,
    device: Device = "auto",
) -> None:
    """Ask a trained model for the images of a caption, or the captions of an image.

    A caption finds images in the gallery, an image finds captions of the
    test split that the run was evaluated on. The images of a gallery are
    embedded once and kept in the run's cache.

    For example: imtext search runs/intra_modal/l1-0123456789 "a black dog" --gallery ~/photos

    Args:
        run: the folder of a finished run
        query: a caption in quotes, or the path of an image file
        gallery: a folder of images, a pack, or an .npz file with images (N, D) and files (N,)
        top: number of answers
        out: also write a page, .html or .png
        device: where to compute; auto is a GPU if there is one
    """
    import imtext
    from imtext.search import check_out, search, write_answer
    from imtext.training.device import resolve_device

    if out is not None:
        check_out(out)
    answer = search(imtext.load(run, resolve_device(device)), query, top, gallery)
    print(answer)
    if out is not None:
        print(f"wrote {write_answer(answer, out)}")


@app.command
def explore(run: Place, /, *others: Place, out: Place) -> None:
    """Write a page that searches with trained models in the browser.

    The reader types words or picks an image of the test split; the page
    embeds the words itself and needs no server and no network. For runs
    on mean word vectors or tf-idf, with two branches or CCA.

    For example: imtext explore runs/structure_preserving/cca-tfidf-0123456789 --out page

    Args:
        run: the folder of a finished run
        others: up to two more with the same test images, shown beside it
        out: a new folder for the page
    """
    from imtext.publish.explore import explore

    print(f"wrote {explore([run, *others], out)}")


@app.command
def notebook(name: str, /, *, p: Pairs = (), out: Place = Path("_build/notebooks")) -> None:
    """Execute one notebook, with parameters of your own.

    Its runs are kept in _build/runs, unless the parameter runs_dir names
    another folder. The notebook itself is left as it is.

    For example: imtext notebook intra_modal -p profile quick -p seeds "[0, 1]"

    Args:
        name: a notebook of the book, such as intra_modal, or the path of one
        p: parameter of the notebook; may be repeated
        out: folder that the executed notebook goes to
    """
    from imtext.publish.execute import execute_notebook

    (source,) = [Path(name)] if os.path.isfile(name) else find_notebooks(HERE, [name])
    print(f"wrote {execute_notebook(source, values(p), out)}")


@book.command
def make(
    *names: str,
    profile: str = "quick",
    p: Pairs = (),
    at_once: PositiveInt | None = None,
    force: bool = False,
    only: Literal["execute", "build"] | None = None,
    build: Place = BUILD,
) -> None:
    """Execute the notebooks for which something changed, and build the pages.

    For example: imtext book make --profile smoke

    Args:
        names: names of notebooks (default: all)
        profile: smoke, quick, full or paper
        p: parameter of the notebooks; may be repeated
        at_once: notebooks executed at a time (default: 2, or 1 on one core or a GPU)
        force: execute even if nothing changed
        only: one of the two steps
        build: the build folder
    """
    from imtext.publish.execute import execute_book
    from imtext.publish.pages import build_book

    given = {"profile": profile} | values(p)
    if only != "build":
        execute_book(HERE, build, given, names, force, at_once)
    if only != "execute":
        print(f"\nThe book is ready. Open\n  {build_book(HERE, build, given).resolve()}")


@book.command
def normalise(*names: str) -> None:
    """Normalise the committed notebooks.

    For example: imtext book normalise

    Args:
        names: names of notebooks (default: all)
    """
    for path in find_notebooks(HERE, names, book=True):
        print(f"  {path.name}: {'normalised' if normalise_file(path) else 'as it should be'}")


@book.command
def refresh(*names: str, build: Place = BUILD) -> None:
    """Execute the committed notebooks in place, in the profile smoke.

    For example: imtext book refresh intra_modal

    Args:
        names: names of notebooks (default: all)
        build: the build folder
    """
    from imtext.publish.execute import refresh

    refresh(HERE, build, names)


@book.command
def results(
    *names: str, profile: str = "full", p: Pairs = (), build: Place = BUILD, missing: bool = False
) -> None:
    """Train the rows that results/ does not hold, and publish each as it is finished.

    For example: imtext book results -p dataset flickr8k -p data_root photographs

    Args:
        names: names of notebooks (default: all)
        profile: smoke, quick, full or paper
        p: parameter of the notebooks; may be repeated
        build: the build folder
        missing: train nothing; list for each table which rows results/ holds and which it lacks
    """
    from imtext.publish.results import publish_results

    publish_results(HERE, build, names, {"profile": profile} | values(p), missing)


@data.command
def fetch(name: str, /, *, root: Place | None = None, parts: str | None = None) -> None:
    """Download a dataset, or say what must be requested and from whom.

    Without --root the parts are listed, with sizes and checksums.
    An interrupted download is resumed; correct files are left alone.
    Checksums are the published ones.

    For example: imtext data fetch flickr8k --root ~/data/flickr8k

    Args:
        name: flickr8k or coco; to be requested: flickr30k, flickr30k_entities, cuhk_pedes, *_precomp
        root: folder of the dataset
        parts: which parts, separated by commas
    """
    from imtext.data.fetch import fetch, listing

    if root is None:
        print(f"{listing(name)}\nTo fetch them add --root DIR.")
        return
    chosen = None if parts is None else [part.strip() for part in parts.split(",")]
    fetch(name, root, chosen, say=lambda line: print(line, flush=True))


@data.command
def check(
    name: str,
    /,
    *,
    root: Place,
    json_: bool = False,
    no_pictures: bool = False,
    no_duplicates: bool = False,
    jobs: PositiveInt | None = None,
    p: Pairs = (),
) -> int:
    """Compare a dataset with what it should be: counts, captions, image files, duplicates.

    Exit code: 0 no errors, 1 errors were found, 2 it could not be checked.
    Warnings and remarks do not change it.

    For example: imtext data check coco --root ~/data/coco -p year 2017

    Args:
        name: a dataset such as flickr8k or coco, or embeddings for a file of them
        root: the folder, or the file
        json_: print one JSON object instead of a report
        no_pictures: check the captions only; image files may be absent
        no_duplicates: do not compare images
        jobs: decoding threads (default: cores)
        p: option of the reader, such as subset true; may be repeated
    """
    from imtext.data.check import check_arrays, check_dataset
    from imtext.retrieval import load_embeddings

    if name == "embeddings":
        if p:
            raise ConfigError("-p: embeddings take no options")
        report = check_arrays(str(root), *load_embeddings(root))
    else:
        report = check_dataset(name, root, not no_pictures, not no_duplicates, jobs, values(p))
    print(_json(report) if json_ else report)
    return int(not report.ok)


def _json(found: Any) -> str:
    """A result or a report in one line, for other programs."""
    return json.dumps(found.to_dict(), allow_nan=False)


@data.command
def pack(
    name: str,
    /,
    *,
    out: Place,
    root: Place | None = None,
    size: int = 256,
    fit: Literal["cover", "squash"] = "cover",
    skip_corrupt: bool = False,
    p: Pairs = (),
) -> None:
    """Write a dataset into one memory-mapped file.

    The file holds the images at one size, or the features if the
    dataset consists of features, with all captions, splits and boxes. Pass it as
    data_root, in place of the folder.

    For example: imtext data pack flickr8k --root ~/data/flickr8k --out pack.safetensors

    Args:
        name: name of the dataset, such as flickr8k or coco
        out: the pack to write
        root: folder of the dataset
        size: side of the images in pixels
        fit: crop the centre, or squeeze the whole image into the square
        skip_corrupt: leave out images that cannot be decoded
        p: option of the reader, such as subset true; may be repeated
    """
    from imtext.data import load_dataset
    from imtext.data.pack import open_pack, write_pack

    dataset = load_dataset(name, root, **values(p))
    write_pack(dataset, out, size, fit, "skip" if skip_corrupt else "raise", reader=name)
    new = open_pack(out).notes[len(dataset.notes) :]
    print(f"wrote {_described(out)}", *new, sep="\n")


@data.command
def verify(file: Place, /) -> None:
    """Compare a pack with its checksums.

    For example: imtext data verify pack.safetensors

    Args:
        file: a pack written by 'imtext data pack'
    """
    from imtext.data.pack import open_pack

    print(f"{open_pack(file, verify=True).summary()}\nwhole: {_described(file)}")


def _described(path: Path) -> str:
    """Name and bytes of a pack, and what it holds."""
    from imtext.data.pack import opened

    pack = opened(path)
    about = f"{pack.size} pixels, {pack.about['fit']}" if pack.size else "features"
    return f"{path}: {path.stat().st_size / 1e6:,.1f} MB, {len(pack.main):,} images ({about})"


@runs.command(name="list")
def list_runs(*, verify: bool = False, runs_dir: RunsDir = RUNS) -> int:
    """List runs with their state, R-sum, seed, profile, dataset, date and size.

    Exit code 1 if a run is damaged.

    For example: imtext runs list --runs-dir _build/runs

    Args:
        verify: read every file and compare its digest
    """
    import pandas as pd

    from imtext.runs.listing import CACHE, DAMAGED, list_runs

    found = list_runs(runs_dir, verify)
    if not found:
        print(f"no runs in {runs_dir}")
        return 0
    columns = ["study", "run", "state", "rsum", "seed", "profile", "dataset", "date", "minutes", "size"]
    frame = pd.DataFrame(found, dtype=object).fillna("")
    frame["run"] += "-" + frame["hash"]
    frame["size"] = frame["bytes"].map(_size)
    text = frame[columns].to_string(index=False, float_format="{:.1f}".format)
    print("".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text))
    for reason in filter(None, frame["reason"]):
        print(one_line(reason))
    states = Counter(frame["state"])
    counts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    print(f"{counts}; {_size(frame['bytes'].sum())} in {runs_dir}")
    print(f"cache of pixels and features: {_size(size_of(runs_dir / CACHE))} (remove --cache removes it)")
    return int(DAMAGED in states)


@runs.command
def show(run: str, /, *, verify: bool = False, runs_dir: RunsDir = RUNS) -> int:
    """Show everything about one run as YAML: configuration, provenance, metrics, files.

    Exit code 1 if the run is damaged.

    For example: imtext runs show intra_modal/l1

    Args:
        run: the run's folder, or the beginning of its name, if only one run begins like that
        verify: read every file and compare its digest
    """
    from imtext.runs.listing import DAMAGED, find_run, look_at
    from imtext.runs.store import files_of

    folder = find_run(runs_dir, run)
    found = look_at(folder, verify)
    bad = found["state"] == DAMAGED
    about = {name: str(found[name]) for name in ("study", "folder", "state", "reason")}
    for name in () if bad else ("config", "provenance", "metrics"):
        about[name] = read_object(folder / f"{name}.json")
    about["files"] = {name: _size(path.stat().st_size) for name, path in files_of(folder).items()}
    print(yaml.safe_dump(about, sort_keys=False, width=1000), end="")
    return int(bad)


@runs.command
def train(folder: Place, /, *others: Place, devices: PositiveInt = 1, cluster: str = "") -> None:
    """Train the rows in folders of unfinished runs, such as a notebook with jobs=0 writes.

    For example: imtext runs train _build/runs/intra_modal/*.partial

    Args:
        folder: folder of an unfinished run
        others: more such folders
        devices: GPUs that share each batch of one row
        cluster: Dask scheduler whose workers train the rows, dask://HOST:PORT
    """
    from imtext.experiment import compute
    from imtext.papers import phrases

    if devices > 1 and cluster:
        raise ConfigError("--devices shares rows among the GPUs of this machine: give it without --cluster")
    for _, run in compute.train([folder, *others], phrases, devices=devices, cluster=cluster):
        print(run.dir)


@runs.command
def remove(
    *names: str, unfinished: bool = False, cache: bool = False, yes: bool = False, runs_dir: RunsDir = RUNS
) -> None:
    """Remove runs, all unfinished runs, or the cache. Without --yes nothing is removed.

    For example: imtext runs remove --unfinished --yes

    Args:
        names: folders of runs, or unique beginnings of their names
        unfinished: all unfinished runs that no process is working on
        cache: stored pixels and features
        yes: remove them
    """
    from imtext.runs import listing

    if not (names or unfinished or cache):
        raise ConfigError("nothing to remove: name a run, or give --unfinished or --cache")
    # All are found before the first one goes.
    gone = {listing.find_run(runs_dir, name): listing.remove_run for name in names}
    found = listing.list_runs(runs_dir) if unfinished else []
    gone |= {run["folder"]: listing.remove_run for run in found if run["state"] == listing.UNFINISHED}
    if cache and (runs_dir / listing.CACHE).is_dir():
        gone[runs_dir / listing.CACHE] = listing.remove_cache
    freed = 0
    for path, remove_it in gone.items():
        freed += size_of(path)
        print(one_line(f"{'removing' if yes else 'would remove'} {path} ({_size(size_of(path))})"))
        if yes:
            remove_it(path)
    print(f"{'freed' if yes else 'nothing was removed; --yes frees'} {_size(freed)}")
