"""The search tool: full text search over a folder of documents."""
