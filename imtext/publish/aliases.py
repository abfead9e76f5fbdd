"""A Sphinx extension: a link to a name under its package leads to the page's entry under its own module.

``imtext.losses.instance_loss`` is what a reader imports; the API page lists it where it is defined, as
``imtext.losses.instance.instance_loss``. Both spellings work in pages and docstrings.
"""

from __future__ import annotations

import importlib
from typing import Any


def defining_name(target: str) -> str | None:
    """The name of an object under the module that defines it, or None where there is no such object.

    >>> defining_name("imtext.runs.RunStore")
    'imtext.runs.store.RunStore'
    >>> defining_name("imtext.runs.nothing") is None
    True
    """
    package, _, name = target.rpartition(".")
    if not package.startswith("imtext"):
        return None
    try:
        found = getattr(importlib.import_module(package), name)
    except (ImportError, AttributeError):
        return None
    module, qualified = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
    return f"{module}.{qualified}" if module and qualified else None


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("missing-reference", _resolve)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
    if node.get("refdomain") != "py":
        return None
    name = defining_name(node["reftarget"])
    if name is None or name == node["reftarget"]:
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], name, node, content)
