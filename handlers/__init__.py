"""What happened: calls that portals made, what was computed, what was sent back."""
