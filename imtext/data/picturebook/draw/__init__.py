"""Drawing of picturebook scenes with Pillow: figures, vehicles, objects, settings."""

from .render import render

__all__ = ["render"]
