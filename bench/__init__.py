"""The benchmark: what this service does, beside its peers and beside bare baselines. ``make bench`` runs it."""
