"""What keeps the service running: its health, the dead letters, backup and restore."""
