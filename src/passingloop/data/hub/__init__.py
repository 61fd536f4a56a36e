"""Examples from the Hugging Face hub."""
