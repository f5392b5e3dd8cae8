/**
 * If this breaks: the document that clients are generated from lacks a frame that the service sends, or shows examples
 * that the service would refuse.
 */
import t from 'tap';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import * as shared from '../src/index.ts';

const { ClientFrameSchema, eventStreamName, frameDefinitions } = shared;

function idOf(schema: TSchema): string {
  return (schema as { $id?: string }).$id ?? '';
}

t.test('R16 every frame that has a schema is in the catalogue, once', async (t) => {
  const schemas = Object.entries(shared as Record<string, unknown>)
    .filter(([name]) => /(Frame|Notification)Schema$/.test(name) && name !== 'ClientFrameSchema')
    .map(([, schema]) => idOf(schema as TSchema));
  t.ok(schemas.length > 8, 'frames were found by their names');
  t.strictSame(frameDefinitions.map(({ schema }) => idOf(schema)).sort(), schemas.sort());
});

t.test('R16 every frame has examples, and its schema accepts them', async (t) => {
  for (const { schema, examples } of frameDefinitions) {
    const validator = Compile(schema);
    t.ok(examples.length > 0, idOf(schema));
    for (const example of examples) t.strictSame([...validator.Errors(example)], [], idOf(schema));
  }
});

t.test('R16 the catalogue says of the same frames that clients may send them as the validator does', async (t) => {
  const validator = Compile(ClientFrameSchema);
  for (const { schema, isSentByClients, examples } of frameDefinitions) {
    t.ok(examples.every((example) => validator.Check(example) === isSentByClients), idOf(schema));
  }
});

t.test('R12 all notifications have one name in an event stream, every other frame its own', async (t) => {
  t.equal(eventStreamName('user.login'), 'notification');
  t.equal(eventStreamName('a.type.of.tomorrow'), 'notification');
  t.equal(eventStreamName('connected'), 'connected');
});
