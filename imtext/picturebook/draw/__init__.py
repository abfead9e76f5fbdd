"""Drawing with Pillow: scenes and pedestrians."""

from .pedestrians import portrait
from .scene import render

__all__ = ["portrait", "render"]
