"""Prompt templates: what ships, what is put in, what comes out."""
