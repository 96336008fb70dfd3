"""The core in virtual time, against token buckets: hours take seconds."""
