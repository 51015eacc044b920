"""The facts of each stage as terminal text and as JSON."""
