"""Reading, writing and checking NIR graphs; shapes and topology."""

from nirbridge.graph.read import read
from nirbridge.graph.verify import verify
from nirbridge.graph.write import write

__all__ = ["read", "verify", "write"]
