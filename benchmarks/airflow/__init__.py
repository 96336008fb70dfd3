"""A real Airflow on this machine, and what a thousand deferred tasks cost its triggerer.

`home`, `servers` and `rest` run it, for the end-to-end tests too; the rest measures.
"""
