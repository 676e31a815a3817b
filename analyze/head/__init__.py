"""The supervised head: splits, training on stored features, baselines on the same folds."""
