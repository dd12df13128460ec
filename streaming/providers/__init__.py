"""Model APIs."""
