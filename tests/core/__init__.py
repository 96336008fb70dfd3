"""The pure core, driven with literal times."""
