"""The command line: what it prints, and one line with exit code 2 for everything a user can cause."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import imtext
from imtext.cli import main
from imtext.errors import RunError
from imtext.retrieval import evaluate


def arrays(n_images=10, n_captions=30):
    """Small embeddings, ready for `numpy.savez`."""
    generator = np.random.default_rng(0)
    return {
        "images": generator.normal(size=(n_images, 4)),
        "captions": generator.normal(size=(n_captions, 4)),
        "image_of_caption": np.arange(n_captions) % n_images,
    }


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "embeddings.npz"
    np.savez(path, **arrays(), extra=np.zeros(3))
    return path


def refusal(capsys, *arguments):
    """Run a command that must fail; return its one line."""
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("imtext: error: ")
    assert err.count("\n") == 1
    return err


def test_evaluate_prints_what_the_library_finds(stored, capsys):
    expected = evaluate(**arrays(), folds=5)
    assert main(["evaluate", str(stored), "--folds", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == expected.to_dict()
    assert main(["evaluate", str(stored), "--folds", "5"]) == 0
    assert capsys.readouterr().out == f"10 images, 30 captions, mean of 5 folds\n{expected}\n"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x.pop("captions"), "lacks captions (found images, image_of_caption)"),
        (lambda x: x["captions"].__setitem__((7, 0), np.nan), "captions: row 7 holds NaN or infinity"),
        (lambda x: x.update(image_of_caption=np.zeros(30, dtype=int)), "image 1 has no caption"),
        (lambda x: x.update(images=np.array([{}], dtype=object)), "cannot be read"),
    ],
)
def test_evaluate_refuses_unfit_arrays(tmp_path, capsys, change, words):
    content = arrays()
    change(content)
    path = tmp_path / "unfit.npz"
    np.savez(path, **content)
    line = refusal(capsys, "evaluate", path)
    assert words in line
    assert "unfit.npz" in line


def test_evaluate_refuses_unfit_files(stored, tmp_path, capsys):
    whole = stored.read_bytes()
    for name, content in {"empty": b"", "text": b"images", "cut": whole[: len(whole) // 2]}.items():
        (tmp_path / name).write_bytes(content)
        assert "cannot be read" in refusal(capsys, "evaluate", tmp_path / name)
    damaged = bytearray(whole)
    damaged[200] ^= 255
    (tmp_path / "damaged").write_bytes(damaged)
    assert "cannot be read" in refusal(capsys, "evaluate", tmp_path / "damaged")
    np.save(tmp_path / "one.npy", np.ones(3))
    assert "cannot be read" in refusal(capsys, "evaluate", tmp_path / "one.npy")
    assert "no file or folder is there" in refusal(capsys, "evaluate", tmp_path / "missing.npz")
    assert "lacks images, captions (found nothing)" in refusal(capsys, "evaluate", tmp_path)


def test_evaluate_refuses_unfit_options(stored, capsys):
    assert "do not divide into 3" in refusal(capsys, "evaluate", stored, "--folds", "3")
    assert "folds=0: expected" in refusal(capsys, "evaluate", stored, "--folds", "0")
    assert "See imtext evaluate --help." in refusal(capsys, "evaluate")
    assert 'unable to convert "two" into int' in refusal(capsys, "evaluate", stored, "--folds", "two")
    assert "Unknown option: --fold. Did you mean --folds?" in refusal(capsys, "evaluate", stored, "--fold", 3)
    assert 'Did you mean "evaluate"?' in refusal(capsys, "evaluat", stored)
    assert "[red]x" in refusal(capsys, "runs", "[red]x")


class Encoder:
    """Stands in for what `imtext.load` gives."""

    images = np.eye(3)
    captions = np.eye(3)
    test = SimpleNamespace(
        name="toy",
        captions=("one", "two", "three"),
        image_of_caption=np.arange(3),
        image_path=lambda i: f"{i}.jpg",
        captions_of=lambda i: [i],
    )

    devices = []

    @classmethod
    def load(cls, run_dir, device):
        cls.devices.append(device)
        if not run_dir.is_dir():
            raise RunError(f"{run_dir}: no finished run here")
        return cls()

    measure = "cosine"
    embed_captions = staticmethod(lambda captions: np.eye(3)[: len(captions)])

    def scores_for_captions(self, captions):
        return np.array([[float(word in caption) for caption in captions] for word in self.test.captions])


@pytest.fixture
def encoder(monkeypatch):
    monkeypatch.setattr(imtext, "load", Encoder.load)
    monkeypatch.setattr(Encoder, "devices", [])


def test_search_prints_its_answers(encoder, tmp_path, capsys):
    assert main(["search", str(tmp_path), "two of them", "--top", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["1", "1.000", "1.jpg", "two"]


def test_search_refuses_before_it_works(encoder, tmp_path, capsys):
    assert "no finished run" in refusal(capsys, "search", tmp_path / "no", "two")
    assert "--top" in refusal(capsys, "search", tmp_path, "two", "--top", "0")
    assert ".html or .png" in refusal(capsys, "search", tmp_path, "two", "--out", "page.pdf")
    assert "no such image" in refusal(capsys, "search", tmp_path, "two.jpg")
    assert "folder of pictures" in refusal(capsys, "search", tmp_path, "two", "--gallery", tmp_path / "no")


def test_search_takes_a_gpu_where_there_is_one(encoder, tmp_path, monkeypatch, capsys):
    for there in (True, False):
        monkeypatch.setattr("torch.cuda.is_available", lambda there=there: there)
        for device in ([], ["--device", "auto"], ["--device", "cpu"]):
            assert main(["search", str(tmp_path), "two", *device]) == 0
    assert Encoder.devices == ["cuda", "cuda", "cpu", "cpu", "cpu", "cpu"]


@pytest.mark.parametrize("command", ["search", "evaluate"])
@pytest.mark.parametrize("device", ["nonsense", "meta", "cuda:0", "cuda:7", "CPU", "", "mps"])
def test_other_devices_are_refused_before_any_work(encoder, stored, tmp_path, capsys, command, device):
    given = [tmp_path, "two"] if command == "search" else [stored]
    line = refusal(capsys, command, *given, "--device", device)
    assert f'"{device}" for --device. Choose from: "auto", "cpu", "cuda"' in line
    assert Encoder.devices == []


def test_a_gpu_that_is_not_there_is_refused(encoder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "no GPU here" in refusal(capsys, "search", tmp_path, "two", "--device", "cuda")


def test_version_and_module(stored):
    for command in (["--version"], ["evaluate", str(stored), "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "imtext", *command], capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        if command == ["--version"]:
            assert done.stdout == f"imtext {imtext.__version__}\n"
        else:
            assert "rsum" in json.loads(done.stdout)


def test_help_needs_no_heavy_module():
    code = "import sys, imtext.cli; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_tilde_of_an_option_is_the_home_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "e.npz", **arrays())
    for name in ("runs", "elsewhere"):
        (tmp_path / name).mkdir()
    assert main(["evaluate", "~/e.npz"]) == 0
    assert main(["data", "check", "embeddings", "--root=~/e.npz"]) == 0
    assert main(["runs", "list", "--runs-dir=~/runs"]) == 0
    assert f"no runs in {tmp_path / 'runs'}" in capsys.readouterr().out
    monkeypatch.setenv("IMTEXT_RUNS", "~/elsewhere")
    assert main(["runs", "list"]) == 0
    assert f"no runs in {tmp_path / 'elsewhere'}" in capsys.readouterr().out
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp1252:strict"])
def test_text_that_the_terminal_cannot_show_is_escaped(tmp_path, encoding):
    (tmp_path / "собаки").mkdir()
    rows = "image,caption\na.png,Собака бежит 🐶\nb.png,Собака бежит 🐶\nc.png,café\n"
    (tmp_path / "собаки" / "captions.csv").write_text(rows, encoding="utf-8")
    command = [sys.executable, "-m", "imtext", "data", "check", "own", "--no-pictures", "--root"]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([*command, tmp_path / "собаки"], capture_output=True, env=environment, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u0441\\u043e\\u0431" in done.stdout  # the folder's name
    done = subprocess.run([*command, tmp_path / "кошки"], capture_output=True, env=environment, timeout=120)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1
