"""Components that other projects defined, in our own implementation: one folder each, which opens with its source."""
