"""What a job is, and what answers and errors of AWS mean."""
