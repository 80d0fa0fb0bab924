"""Network parts: backbones, heads, attention, and the expandable network."""
