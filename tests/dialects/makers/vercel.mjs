// The Vercel AI SDK with its own telemetry on. Arguments: the address of the simulated OpenAI, the
// file to write.
import { appendFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(process.cwd() + '/');
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { generateText, streamText, tool, stepCountIs } = await load('ai');
const { createOpenAICompatible } = await load('@ai-sdk/openai-compatible');
const { z } = await load('zod');
const tracing = await load('@opentelemetry/sdk-trace-node');
const { JsonTraceSerializer } = await load('@opentelemetry/otlp-transformer');

const [url, path] = process.argv.slice(2);
writeFileSync(path, '');
const exporter = {
  export(spans, done) {
    appendFileSync(path, Buffer.from(JsonTraceSerializer.serializeRequest(spans)));
    appendFileSync(path, '\n');
    done({ code: 0 });
  },
  async shutdown() {},
};
const provider = new tracing.NodeTracerProvider({
  spanProcessors: [new tracing.SimpleSpanProcessor(exporter)],
});
provider.register();
const openai = createOpenAICompatible({ name: 'openai', baseURL: url, apiKey: 'simulated' });
const telemetry = {
  isEnabled: true,
  functionId: 'trip',
  metadata: { sessionId: 's-1', userId: 'u-1' },
};
const conversation = {
  system: 'You plan walks. Look at the weather first.',
  prompt: 'What is the weather in Lisbon, and where shall I walk?',
  temperature: 0.2,
  maxOutputTokens: 200,
  maxRetries: 0,
  experimental_telemetry: telemetry,
};
const tools = {
  get_weather: tool({
    description: 'The weather of a city today',
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => ({ city, sky: 'clear', celsius: 21 }),
  }),
};
await generateText({
  model: openai('gpt-4o'),
  tools,
  stopWhen: stepCountIs(3),
  ...conversation,
});
try {
  await generateText({ model: openai('no-such-model'), ...conversation });
} catch (error) {
  // what the sample is to hold
}
const { textStream } = streamText({ model: openai('gpt-4o'), ...conversation, onError() {} });
for await (const piece of textStream) void piece;
await provider.shutdown();
