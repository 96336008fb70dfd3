"""The core in virtual time, against token buckets: minutes take milliseconds."""
