"""How much may be asked for and sent, and how much was: rate limits, quotas and usage."""
