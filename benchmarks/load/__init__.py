"""The clients, in a process of their own that must be far cheaper than any server: raw sockets, ready-made bytes."""
