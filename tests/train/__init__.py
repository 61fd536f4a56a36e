"""Tests of training. Those of several processes start python five times, so nothing is imported that is not needed."""

from passingloop.startup.imports import light_imports

with light_imports():
    import lightning.fabric  # noqa: F401
    import transformers.modeling_utils  # noqa: F401
