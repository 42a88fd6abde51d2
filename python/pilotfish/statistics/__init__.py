"""Profiles and distances for Python."""
