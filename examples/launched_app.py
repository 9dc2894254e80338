"""A program that knows nothing of Peekr: OpenTelemetry's launcher traces it, to a collector too.

With any collector that takes OTLP on port 4318; for want of one, `otlp_receiver.py` prints what
it is sent:

    python otlp_receiver.py 4318
    export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 OTEL_SERVICE_NAME=walks
    opentelemetry-instrument python launched_app.py
    peekr view traces.jsonl --io                    # the records, here as well

Such as it stands it asks simulated providers. With `--real` at the end it asks OpenAI, and needs
OPENAI_API_KEY.
"""

from __future__ import annotations

import openai

from simulated_providers import stand_in


def main() -> None:
    with openai.OpenAI() as client:
        for question in ("Say hello", "Say goodbye"):
            reply = client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": question}]
            )
            print(reply.choices[0].message.content)


if __name__ == "__main__":
    with stand_in():
        main()
