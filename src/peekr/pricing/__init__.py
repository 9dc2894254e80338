"""What model calls cost: a dated price table that needs no network, and prices of one's own.

`book.PriceBook` is what the others work with; nothing is loaded here.
"""
