"""How long one meta-gradient takes, here and in every library that a reader might pick instead."""
