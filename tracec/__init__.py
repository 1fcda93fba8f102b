"""tracec: PyTorch-style eager programs, recorded, fused and compiled."""
