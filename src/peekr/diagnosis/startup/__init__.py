"""A folder for PYTHONPATH: its sitecustomize runs first in programs that `peekr doctor` starts."""
