"""Configuration: schema, composition, checks and identity. Imports no torch."""
