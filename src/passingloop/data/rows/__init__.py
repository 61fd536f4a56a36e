"""Rows of examples, which all sources give: their schema, batches, numbers, and faults."""
