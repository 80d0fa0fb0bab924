"""What a run has left: its classes, its networks after each task, and the images it was trained on."""
