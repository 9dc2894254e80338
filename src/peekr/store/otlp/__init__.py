"""OTLP in JSON: the lines of the OpenTelemetry Collector's file exporter, and single documents."""

from __future__ import annotations

from peekr.store.otlp.read import OtlpReader, is_otlp

__all__ = ["OtlpReader", "is_otlp"]
