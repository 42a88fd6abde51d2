"""Public fakes: a model server, an OpenTelemetry receiver, a captured journal; for tests of what uses pilotfish."""
