"""Training: configuration, Lightning module, run folder."""
