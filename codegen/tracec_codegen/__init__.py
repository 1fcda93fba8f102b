"""Scheduling to kernels and generating machine code for them."""
