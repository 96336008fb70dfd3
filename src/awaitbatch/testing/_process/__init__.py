"""Servers in processes of their own: `BatchServer`'s, and moto's."""
