"""The hot path: decode and check events, group them into durable blocks, drain the blocks into the store."""
