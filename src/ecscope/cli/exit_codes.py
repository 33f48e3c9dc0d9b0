"""What the exit codes of ``ecscope`` mean to a script. They are a promise: never change one."""

from __future__ import annotations

EXIT_FINE = 0
EXIT_FAILED = 1
"""The agent does not answer, or cannot run."""
EXIT_USAGE = 2
"""Wrong options, or a wrong setting."""
EXIT_NO_MATCH = 3
EXIT_AMBIGUOUS = 4
EXIT_TERMINAL = 5
"""The agent cannot run, and restarting it cannot help: as of the official agent."""
EXIT_WARNINGS = 10
"""Of `ecscope doctor`: something works, and may not for long."""
EXIT_ERRORS = 11
"""Of `ecscope doctor`: something does not work."""
EXIT_UNKNOWN = 12
"""Of `ecscope why`: the evidence does not prove a cause."""
EXIT_INTERRUPTED = 130
"""As a shell counts SIGINT."""
