"""Examples from objects in Google Cloud Storage."""
