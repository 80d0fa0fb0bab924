"""Images, tasks and memory: from files on disk to batches on the device."""
