"""Ways to compute, one file an entry; `robots.compute.autodiscover` loads every module here."""
