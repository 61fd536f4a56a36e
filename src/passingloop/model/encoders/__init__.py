"""Encoders without padding: their texts stand one after another, and attention keeps them apart."""
