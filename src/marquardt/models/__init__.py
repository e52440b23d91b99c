"""Models: what maps parameters and inputs to outputs."""
