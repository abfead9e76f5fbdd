"""Publishing: notebooks are executed into a copy of the book, and the book is built from that copy.

``imtext book make`` does what ``make book`` does once the environment is there. papermill, nbformat and
jupyter-book are imported only where they are used, so that the library itself does not need them.
"""
