"""Publishing: notebooks are executed into a copy of the book, and the book is built from that copy.

``python -m imtext.publish book`` does what ``make book`` does once the environment is there; the single
steps are ``execute``, ``build``, ``normalise`` and ``refresh``. papermill, nbformat and jupyter-book are
imported only where they are used, so that the library itself does not need them.
"""
