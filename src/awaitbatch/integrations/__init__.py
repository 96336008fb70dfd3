"""Adapters for programs that host AWS Batch jobs; each needs the extra of its name."""
