"""What a start looks like, what a meta-gradient is and what it costs."""
