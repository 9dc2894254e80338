"""What goes wrong around an application: its calls stay right, what is lost is bounded and said.

Real processes, the real OpenAI SDK, the simulated providers on loopback. `docs/faults.md` is the
table of what each fault costs; `test_the_page.py` holds the two together.
"""
