"""Pretrained models: weights, tokenizer, adapters, attention, memory."""
