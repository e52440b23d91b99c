"""Applications, built on the public names of `marquardt` alone."""
