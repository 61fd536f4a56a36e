"""The one LightningModule, fitting, checkpoints, export."""
