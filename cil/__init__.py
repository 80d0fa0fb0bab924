"""cil: class-incremental-learning experiments, composed by Hydra."""

__version__ = "0.1.0"
