"""Public fakes for tests: a model server, an OpenTelemetry receiver, a captured journal."""
