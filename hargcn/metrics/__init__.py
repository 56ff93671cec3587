"""Measures of explanations: functions of (model, x, explanation), and the curves behind them.

`runner.Runner` says how the model is run, `curves` perturbs joint after joint, `table` sets methods
against measures; `faithfulness`, `masking`, `localisation`, `stability` and `sanity` hold the
measures themselves.
"""
