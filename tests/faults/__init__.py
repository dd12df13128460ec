"""Faults made on purpose, over real sockets, against real server processes."""
