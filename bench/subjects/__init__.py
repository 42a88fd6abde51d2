"""What the statistics are compared with: programs that measure themselves and print ns per value."""
