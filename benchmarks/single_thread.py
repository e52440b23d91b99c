"""Pin every numerical library to one thread; import this before NumPy.

At the sizes of these benchmarks a second thread buys little and adds noise, and one thread each is what
makes the comparison fair.  OpenBLAS, MKL and OpenMP read their limits when they are first loaded, and XLA
sizes its own pool by ``NPROC``.  Set these variables yourself to overrule it.
"""

import os
import sys

if "numpy" in sys.modules:
    raise ImportError("import single_thread before NumPy: its thread limits are read only once")
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"):
    os.environ.setdefault(_name, "1")
THREADS = int(os.environ["OMP_NUM_THREADS"])
