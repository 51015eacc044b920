"""``python -m nirbridge``."""

from nirbridge.cli import main

main()
