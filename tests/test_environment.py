"""environment.yml, constraints.txt and pyproject.toml say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name


def project(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(repository: Path) -> list[str]:
    extras = project(repository)["optional-dependencies"]
    return [*project(repository)["dependencies"], *extras["book"], *extras["test"]]


def test_conda_users_get_the_same(repository: Path) -> None:
    environment = yaml.safe_load((repository / "environment.yml").read_text(encoding="utf-8"))
    python, pip, listed = environment["dependencies"]
    assert python == f"python{project(repository)['requires-python']}"
    assert pip == "pip"
    options = [line for line in listed["pip"] if line.startswith("--")]
    assert options == ["--constraint constraints.txt", "--editable ."]
    packages = [line for line in listed["pip"] if not line.startswith("--")]
    assert sorted(packages) == sorted(requirements(repository))


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
