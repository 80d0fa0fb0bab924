"""Sweeps: what is finished stays, what was interrupted goes on, what is new is started. Imports no torch."""
