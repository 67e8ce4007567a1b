"""Migrations of the control database, numbered, one after the other. Released ones never change."""
