"""The command ``nirbridge``, beside the package so that it hears Ctrl-C while that is imported."""

import sys


def main() -> None:
    """Run the command."""
    try:
        from nirbridge.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()
