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
        return f"{found.__module__}.{found.__qualname__}"
    except (ImportError, AttributeError):
        return None


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("missing-reference", _resolve)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
    name = defining_name(node["reftarget"]) if node.get("refdomain") == "py" else None
    if name in (None, node["reftarget"]):
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], name, node, content)
