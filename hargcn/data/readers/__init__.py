"""Readers: one module per format, each with a `Reader` that declares itself."""

from hargcn.data.readers.base import READERS, Found, Reader, find_reader

__all__ = ["READERS", "Found", "Reader", "find_reader"]
