"""What awaitbatch costs, measured against its own model of AWS Batch; README.md says how to run it."""
