"""What the device allows: number format, kernels, and how much of a step one pass takes."""
