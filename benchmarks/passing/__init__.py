"""What stands between a client and the decoder, and what it costs: the gateway.

gateway ─▶ services (processes, the real model)
        ─▶ streams   the same completion straight from the decoder, and through the gateway
        ─▶ idle      what streams hold that say nothing
        ─▶ leaving   from a client that leaves to what is free
        ─▶ overload  those who are admitted, with and without those who are not
"""
