"""A lean forward pass for Llama and Qwen2: few calls a step, the model's own weights, a cache that never moves.

model ─▶ architecture ─▶ weights (fused, packed, 4 or 8 bits) ─▶ runner ◀─ kernels (C++)
"""
