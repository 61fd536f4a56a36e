"""Pretrained models: weights, tokenizer, adapters, attention, sharding, and what the device allows."""
