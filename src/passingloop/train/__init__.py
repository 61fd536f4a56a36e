"""The training loop, the LightningModule, evaluation, export."""
