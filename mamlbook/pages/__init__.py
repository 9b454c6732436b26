"""What the book's pages need and the core never imports: claims, sources, stored results and figures."""
