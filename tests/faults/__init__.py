"""Long proofs that the embeddings file survives what can go wrong; see README.md beside this."""

import sys
from pathlib import Path

# the modules of tests/ are found by their bare names, as under pytest
if (_tests := str(Path(__file__).parents[1])) not in sys.path:
    sys.path.insert(0, _tests)
