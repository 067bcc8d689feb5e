"""Train one vision network for several dense prediction tasks from partially annotated images."""
