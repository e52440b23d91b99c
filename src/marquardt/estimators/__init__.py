"""The scikit-learn face: estimators, their checks, scalers and starts."""
