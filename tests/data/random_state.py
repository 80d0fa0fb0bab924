"""The global random states of Python, NumPy and torch, which nothing in the data path may touch."""

import pickle
import random

import numpy as np
import torch


def global_random_state() -> bytes:
    """All three states, comparable."""
    return pickle.dumps((random.getstate(), np.random.get_state(), torch.get_rng_state().tolist()))
