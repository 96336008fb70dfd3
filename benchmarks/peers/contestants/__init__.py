"""The contestants: small scripts, each run by the Python of its own virtual environment.

They import the standard library, `harness`, and the library that they drive: nothing else of this
project is installed there.
"""
