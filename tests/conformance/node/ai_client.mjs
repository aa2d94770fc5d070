// ai, with @ai-sdk/openai-compatible and with @ai-sdk/anthropic.

import assert from 'node:assert/strict';
import {createAnthropic} from '@ai-sdk/anthropic';
import {createOpenAICompatible} from '@ai-sdk/openai-compatible';
import {embedMany, generateText, jsonSchema, Output, stepCountIs, streamText, tool} from 'ai';
import {z} from 'zod';
import {check, NotHereError, run, server} from './checks.mjs';

const compatible = createOpenAICompatible({
  name: 'roci', baseURL: server.v1, apiKey: 'x', includeUsage: true, supportsStructuredOutputs: true,
});
const anthropic = createAnthropic({baseURL: server.v1, apiKey: 'x'});
const ways = [['openai-compatible', compatible(server.model)], ['anthropic', anthropic(server.model)]];
const asked = (model, prompt = 'Say hello.', more = {}) => ({
  model, prompt, maxOutputTokens: 8, temperature: 0, maxRetries: 0, ...more,
});
const inputSchema = jsonSchema({type: 'object', properties: {city: {type: 'string'}}, required: ['city']});
const weather = tool({description: 'The weather in a city', inputSchema});
const runWeather = tool({description: 'The weather in a city', inputSchema, execute: async () => 'Rain.'});

const each = (body) => async () => {
  for (const [way, model] of ways) {
    await body(model).catch((error) => { throw new Error(`by ${way}`, {cause: error}); });
  }
};

check('a text is generated', each(async (model) => {
  const {text, finishReason, usage} = await generateText(asked(model));
  assert(text);
  assert.equal(finishReason, 'length');
  assert.equal(usage.outputTokens, 8);
}));

check('a text is streamed', each(async (model) => {
  const result = streamText(asked(model, 'Say hello.', {onError() {}}));
  const kinds = [];
  for await (const part of result.fullStream) kinds.push(part.type);
  assert(kinds.filter((kind) => kind === 'text-delta').length > 1);
  assert(!kinds.includes('error'));
  assert.equal(kinds.at(-1), 'finish');
  assert.equal(await result.finishReason, 'length');
  assert.equal((await result.usage).outputTokens, 8);
}));

check('a required tool is called', each(async (model) => {
  const more = {tools: {get_weather: weather}, toolChoice: 'required', maxOutputTokens: 40};
  const {toolCalls, finishReason} = await generateText(asked(model, 'The weather?', more));
  assert.equal(finishReason, 'tool-calls');
  assert.equal(toolCalls[0].toolName, 'get_weather');
  assert.equal(typeof toolCalls[0].input.city, 'string');
}));

check('a streamed call is put together', each(async (model) => {
  const choice = {type: 'tool', toolName: 'get_weather'};
  const more = {tools: {get_weather: weather}, toolChoice: choice, maxOutputTokens: 40};
  const [call] = await streamText(asked(model, 'The weather?', more)).toolCalls;
  assert.equal(call.toolName, 'get_weather');
  assert.equal(typeof call.input.city, 'string');
}));

check('a tool is run and its result is taken', each(async (model) => {
  const more = {
    tools: {get_weather: runWeather}, maxOutputTokens: 40, stopWhen: stepCountIs(2),
    prepareStep: ({stepNumber}) => ({toolChoice: stepNumber === 0 ? 'required' : 'none'}),
  };
  const {steps} = await generateText(asked(model, 'The weather?', more));
  assert.equal(steps.length, 2);
  assert.equal(steps[0].toolResults[0].output, 'Rain.');
  assert(steps[1].text);
}));

check('an answer takes the form of a schema', each(async (model) => {
  const output = Output.object({schema: z.object({good: z.boolean()})});
  const result = await generateText(asked(model, 'Is rain good?', {output, maxOutputTokens: 60}));
  assert.equal(typeof result.output.good, 'boolean');
}));

check('an unknown model is an error with its status', each(async (model) => {
  const unknown = (model === ways[0][1] ? compatible : anthropic)('nobody');
  await assert.rejects(generateText(asked(unknown)), (error) => error.statusCode === 404);
}));

check('texts become vectors', async () => {
  if (!server.embeddingModel) throw new NotHereError('there is no embedding model on this machine');
  const model = compatible.embeddingModel(server.embeddingModel);
  const {embeddings, usage} = await embedMany({model, values: ['a cat', 'a tax form'], maxRetries: 0});
  assert.deepEqual(embeddings.map((vector) => vector.length), [384, 384]);
  assert(usage.tokens > 0);
});

await run();
