"""All tasks, in the table's order."""

from benchmarks.accuracy.tasks import digits, keywords, xor

TASKS = (*digits.TASKS, *xor.TASKS, *keywords.TASKS)
