"""CUDA C from kernels of the kernel dialect, and cubins from CUDA C (NVRTC, through CuPy)."""
