"""Figures that answer to the reader's hand, in the built book, in Jupyter and on Colab, without kernel or network."""
