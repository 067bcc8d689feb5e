"""YAML recipes, one per setting."""
