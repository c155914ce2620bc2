"""Topologies of Tapline in tests."""

from .lab import Lab, TaplineError, Topologies

__all__ = ["Lab", "TaplineError", "Topologies"]
