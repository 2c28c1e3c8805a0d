"""What a JSON schema lets a grammar write: read into shapes, and written again for llguidance.

The tool service makes the grammars of calls of it, the decoder those of answers.
"""
