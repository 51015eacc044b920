"""Charts, drawn with Matplotlib."""
