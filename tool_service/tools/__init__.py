"""The tools that come along, a folder each, and the loading of others."""
