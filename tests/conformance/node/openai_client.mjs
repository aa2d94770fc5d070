// openai: chat, tools, embeddings and responses.

import assert from 'node:assert/strict';
import OpenAI from 'openai';
import {zodResponseFormat} from 'openai/helpers/zod';
import {z} from 'zod';
import {check, NotHereError, run, server} from './checks.mjs';

const client = new OpenAI({baseURL: server.v1, apiKey: 'x', maxRetries: 0});
const parameters = {type: 'object', properties: {city: {type: 'string'}}, required: ['city'], additionalProperties: false};
const weather = {type: 'function', function: {name: 'get_weather', description: 'The weather in a city', parameters}};
const Verdict = z.object({good: z.boolean()});

const asked = (text = 'Say hello.', more = {}) => ({
  model: server.model, messages: [{role: 'user', content: text}], max_completion_tokens: 8, temperature: 0, ...more,
});
const responding = (text = 'Say hello.', more = {}) => ({
  model: server.model, input: text, max_output_tokens: 16, temperature: 0, ...more,
});
const called = (call) => {
  assert.equal(call.function.name, 'get_weather');
  assert.equal(typeof JSON.parse(call.function.arguments).city, 'string');
};

check('models are listed', async () => {
  const keys = [];
  for await (const model of client.models.list()) keys.push(model.id);
  assert(keys.includes(server.model));
});

check('a chat is answered', async () => {
  const reply = await client.chat.completions.create(asked());
  assert(reply.choices[0].message.content);
  assert.equal(reply.choices[0].finish_reason, 'length');
  assert.equal(reply.usage.completion_tokens, 8);
});

check('a stream ends with reason and usage', async () => {
  const chunks = [];
  const body = asked('Say hello.', {stream: true, stream_options: {include_usage: true}});
  for await (const chunk of await client.chat.completions.create(body)) chunks.push(chunk);
  assert(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''));
  assert.equal(chunks.at(-2).choices[0].finish_reason, 'length');
  assert.equal(chunks.at(-1).usage.completion_tokens, 8);
});

check('the stream helper puts an answer together', async () => {
  const stream = client.chat.completions.stream(asked());
  let text = '';
  stream.on('content', (delta) => { text += delta; });
  assert.equal(await stream.finalContent(), text);
  assert(text);
});

check('a required tool is called', async () => {
  const body = asked('The weather?', {tools: [weather], tool_choice: 'required', max_completion_tokens: 40});
  const {message, finish_reason: reason} = (await client.chat.completions.create(body)).choices[0];
  assert.equal(reason, 'tool_calls');
  called(message.tool_calls[0]);
});

check('a streamed call is put together', async () => {
  const choice = {type: 'function', function: {name: 'get_weather'}};
  const body = asked('The weather?', {tools: [weather], tool_choice: choice, max_completion_tokens: 40});
  const reply = await client.chat.completions.stream(body).finalChatCompletion();
  called(reply.choices[0].message.tool_calls[0]);
});

check('an answer is parsed into a type', async () => {
  const form = zodResponseFormat(Verdict, 'verdict');
  const body = asked('Is rain good?', {response_format: form, max_completion_tokens: 60});
  const reply = await client.chat.completions.parse(body);
  assert.equal(typeof reply.choices[0].message.parsed.good, 'boolean');
});

check('texts become vectors, which travel as base64', async () => {
  if (!server.embeddingModel) throw new NotHereError('there is no embedding model on this machine');
  const reply = await client.embeddings.create({model: server.embeddingModel, input: ['a cat', 'a tax form']});
  assert.deepEqual(reply.data.map((entry) => entry.embedding.length), [384, 384]);
});

check('a response is made, gone on from, and deleted', async () => {
  const first = await client.responses.create(responding());
  assert(first.output_text);
  const second = await client.responses.create(responding('And?', {previous_response_id: first.id}));
  assert(second.usage.input_tokens > first.usage.input_tokens);
  assert.equal((await client.responses.retrieve(first.id)).output_text, first.output_text);
  await client.responses.delete(first.id);
  await assert.rejects(client.responses.retrieve(first.id), OpenAI.NotFoundError);
});

check('a response is streamed', async () => {
  const kinds = [];
  for await (const event of await client.responses.create(responding('Say hello.', {stream: true}))) kinds.push(event.type);
  assert.equal(kinds[0], 'response.created');
  assert(kinds.includes('response.output_text.delta'));
  assert(['response.completed', 'response.incomplete'].includes(kinds.at(-1)));
});

check('errors are its own classes', async () => {
  const missing = client.chat.completions.create(asked('Hi', {model: 'nobody'}));
  await assert.rejects(missing, (error) => error instanceof OpenAI.NotFoundError && error.code === 'model_not_found');
  const long = client.chat.completions.create(asked('word '.repeat(4000)));
  await assert.rejects(long, (error) => error.status === 400 && error.code === 'context_length_exceeded');
});

await run();
