"""What every request passes on its way in, as raw ASGI callables: each costs about a microsecond."""
