"""Drawing with Pillow: scenes and pedestrians."""

from .portrait import portrait
from .render import render

__all__ = ["portrait", "render"]
