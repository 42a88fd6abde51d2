"""End to end: real model servers and clients that others wrote, with pilotfish between them."""
