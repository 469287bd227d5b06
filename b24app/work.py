"""The one task."""
