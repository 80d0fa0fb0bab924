"""What a run leaves in its folder: settings, status, metrics, events, checkpoints, result."""
