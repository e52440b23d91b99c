"""Least-squares problems whose right answers are published: NIST StRD and More-Garbow-Hillstrom."""
