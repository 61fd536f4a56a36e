"""What the GPUs and CPUs of a node do: measuring it, and recording it while a run trains."""
