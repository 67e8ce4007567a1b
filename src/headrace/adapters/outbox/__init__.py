"""Mail into a directory, for development and for those who have no mail server."""
