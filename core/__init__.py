"""What a mapping is, and what is true about it.

Nothing here imports Panel or the queue, reads the clock, or opens a connection at import.
"""
