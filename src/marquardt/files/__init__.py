"""Model files: versioned, without pickle."""
