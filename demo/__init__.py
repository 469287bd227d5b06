"""What `make demo` shows: a catalog, and the Python functions some of its robots are computed by."""
