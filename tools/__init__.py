"""Programs that keep the repository in order; the Makefile runs them."""
