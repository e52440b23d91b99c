"""Bayesian regularisation: precisions from the evidence, error bars from the curvature."""
