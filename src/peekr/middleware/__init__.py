"""ASGI middleware: each HTTP request a root span, with its route, its tenant and its user."""

from peekr.middleware.asgi import FastAPIMiddleware, PeekrASGIMiddleware

__all__ = ["FastAPIMiddleware", "PeekrASGIMiddleware"]
