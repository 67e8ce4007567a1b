"""Who is asking: keys, and the bootstrap of the first one. What they may do is decided in `model/permission.py`."""
