"""Training, evaluation and their figures; knows nothing of files or terminals."""
