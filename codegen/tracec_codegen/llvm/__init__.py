"""Native code by way of LLVM IR text."""
