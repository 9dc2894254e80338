"""Attribute names: `otel` holds upstream's, `own` Peekr's; both are generated."""
