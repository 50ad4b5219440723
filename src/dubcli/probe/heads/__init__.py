"""Many heads on the same features, trained together: settings, networks, optimizers, training, protocols."""
