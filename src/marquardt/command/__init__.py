"""The command `marquardt`."""
