"""Finished spans on their way to OpenTelemetry exporters, off the caller's thread."""
