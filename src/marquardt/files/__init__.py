"""Model files: versioned, without pickle.

What stands here serves applications that keep models of their own in such files.
"""

from marquardt.files.archive import ModelFileError, read_archive, write_archive
from marquardt.files.history_arrays import history_arrays, history_from_arrays

__all__ = ["ModelFileError", "history_arrays", "history_from_arrays", "read_archive", "write_archive"]
