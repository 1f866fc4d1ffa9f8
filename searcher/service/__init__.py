"""The loop that takes studies from the queue and lets a process of its own run each."""
