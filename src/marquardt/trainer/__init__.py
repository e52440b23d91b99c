"""NeuPy's and MATLAB's vocabulary: `LevenbergMarquardt`, its epochs and signals."""
