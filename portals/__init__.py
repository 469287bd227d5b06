"""Who we talk to: applications, portals, their tokens, limits and leases."""
