"""The smallest generic proxies grpcio allows: what a sidecar in Python costs before it does anything."""
