"""The scores of tasks, apart from them: what only reads data need not wait for torchmetrics."""
