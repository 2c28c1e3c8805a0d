"""What a JSON schema lets a grammar write: read into shapes, and written again for llguidance."""
