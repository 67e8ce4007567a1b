"""OpenID Connect over HTTP."""
