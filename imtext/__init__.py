"""imtext: reproductions of five papers on learning image-text embeddings, as a thin library."""

__version__ = "0.1.0"
