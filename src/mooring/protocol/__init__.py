"""Sans-IO grammar and state of the wire protocols: bytes in, events out.

No socket, clock, randomness or logging lives here; what is needed is passed in.
"""
