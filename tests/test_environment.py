"""pyproject.toml, constraints.txt and environment.yml say the same; one loss needs no more than the core."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

# What is importable after `pip install imtext`, beside the packages that its own requirements bring.
CORE = """
import sys
from importlib.metadata import packages_distributions
class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in extras:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
owners = packages_distributions()
extras = {module for module in owners if not set(owners[module]).isdisjoint(MISSING)}
sys.meta_path.insert(0, NotInstalled())
import torch
from imtext import losses, models, retrieval

rows = torch.nn.functional.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(0)))
loss = losses.ranking_loss(rows, rows)
found = retrieval.evaluate(rows.numpy(), rows.numpy(), range(6))
assert float(loss) >= 0 and found.rsum == 600, (loss, found)
print("core")
"""


def project(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(repository: Path) -> list[str]:
    """What make installs: the core and every extra but those that name others."""
    extras = project(repository)["optional-dependencies"]
    named = [one for extra in ("text", "vision", "study", "book", "cluster", "test") for one in extras[extra]]
    return [*project(repository)["dependencies"], *(one for one in named if not one.startswith("imtext["))]


def test_conda_users_get_what_make_installs(repository: Path) -> None:
    environment = yaml.safe_load((repository / "environment.yml").read_text(encoding="utf-8"))
    python, pip, listed = environment["dependencies"]
    assert python == f"python{project(repository)['requires-python']}"
    assert pip == "pip"
    assert listed["pip"] == ["--constraint constraints.txt", "--editable .[book,test]"]
    assert "--constraint constraints.txt --editable '.[book,test]'" in (repository / "Makefile").read_text()


def test_one_loss_one_network_and_one_metric_need_the_core_alone(repository: Path) -> None:
    core = {canonicalize_name(Requirement(one).name) for one in project(repository)["dependencies"]}
    extras = {canonicalize_name(Requirement(one).name) for one in requirements(repository)} - core
    assert {"pandas", "scikit-learn", "timm", "gensim", "lightning-fabric", "matplotlib"} <= extras
    names = {name for extra in extras for name in (extra, extra.replace("-", "_"))} | {"PyYAML"}
    code = f"MISSING = {sorted(names)}\n{CORE}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=repository)
    assert done.stdout == "core\n", done.stderr


def test_every_requirement_is_bounded_and_tested(repository: Path) -> None:
    pinned = {}
    for line in (repository / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, version = re.fullmatch(r"([A-Za-z0-9._-]+)==([^\s;]+)", line).groups()
            pinned[canonicalize_name(name)] = version
    for text in requirements(repository):
        requirement = Requirement(text)
        signs = {clause.operator for clause in requirement.specifier}
        assert signs == {">=", "<"}, f"{text}: give a lower bound and a major version not to reach"
        tested = pinned.get(canonicalize_name(requirement.name))
        assert tested is not None, f"{requirement.name} is missing from constraints.txt (make constraints)"
        assert requirement.specifier.contains(tested, prereleases=True), f"{text} does not admit {tested}"


def test_python_bounds(repository: Path) -> None:
    bounds = SpecifierSet(project(repository)["requires-python"])
    admitted = [f"3.{minor}" for minor in range(8, 18) if bounds.contains(f"3.{minor}")]
    assert admitted == ["3.11", "3.12", "3.13"]
