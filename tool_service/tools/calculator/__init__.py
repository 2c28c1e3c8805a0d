"""The calculator tool: plain arithmetic."""
