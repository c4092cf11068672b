"""What `peers.py` and `keys.py` share. Standard library only."""
