"""A second project that takes the streaming app in by its public API, with nothing of ``config``."""
