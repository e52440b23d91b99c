"""NeuPy's and MATLAB's vocabulary: `LevenbergMarquardt` and `BayesianRegularization`, epochs and signals."""
