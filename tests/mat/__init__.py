"""A physical model of a mat, and how well the moment of crossing is found on it: ``python -m tests.mat``."""
