import fc, { type Arbitrary } from 'fast-check';
import type { Body } from './caller.ts';
import type { JsonSchema } from './contract.ts';

/** Longer strings only repeat what these show; the longest that a schema allows is tried as a mutation. */
const LENGTH_MAX = 80;

/** Items of a list. More are more of the same. */
const ITEMS_MAX = 5;

/** Names and texts that have undone programs before. */
const NASTY = [
  '__proto__', 'constructor', 'toString', 'hasOwnProperty', '', ' ', '\u0000', '\ud800', '\u202e', 'ﬁ', 'é', 'İ',
  "'; drop table users; --", '{{7*7}}', '%00', '../../etc/passwd', '<script>', '$ne', '1e999', '-0', 'null', 'true',
];

/** Strings from ordinary to hostile. `known` are values that lead further than any invented one. */
function texts(schema: JsonSchema, known: readonly string[]): Arbitrary<string> {
  const { minLength = 0, maxLength = LENGTH_MAX } = schema;
  if (schema.format === 'uuid') return fc.oneof(fc.uuid(), ...known.map((value) => fc.constant(value)));
  const bounds = { minLength, maxLength: Math.min(maxLength, LENGTH_MAX) };
  const nasty = NASTY.filter(({ length }) => length >= minLength && length <= maxLength);
  return fc.oneof(
    fc.string(bounds),
    fc.string({ ...bounds, unit: 'binary' }).filter(({ length }) => length <= maxLength),
    fc.constantFrom(...nasty),
    ...known.map((value) => ({ weight: 3, arbitrary: fc.constant(value) })),
  );
}

/** Values that a schema allows. `known` are strings that work, by the member's name. */
export function validValues(
  schema: JsonSchema,
  known: Readonly<Record<string, readonly string[]>>,
  name = '',
): Arbitrary<unknown> {
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map((branch) => validValues(branch, known, name)));
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.type === 'string') return texts(schema, known[name] ?? []);
  if (schema.type === 'boolean') return fc.boolean();
  if (schema.type === 'null') return fc.constant(null);
  if (schema.type === 'integer') return fc.integer({ min: schema.minimum ?? 0 });
  if (schema.type === 'array') {
    const { items = {}, minItems = 0 } = schema;
    return fc.array(validValues(items, known, name), { minLength: minItems, maxLength: ITEMS_MAX });
  }
  if (schema.type === 'object') {
    const members = Object.entries(schema.properties ?? {});
    const model = Object.fromEntries(members.map(([key, member]) => [key, validValues(member, known, key)]));
    return fc.record(model, { requiredKeys: [...(schema.required ?? [])] });
  }
  // A new kind of member must be told to this function, or it would be left out of the test in silence.
  throw new Error(`no values are known for ${JSON.stringify(schema)}`);
}

/** Anything that JSON can say, nasty names included. */
const anything = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom<unknown>(...NASTY, 0, -1, 1e308, [], {}));

type Mutation = (body: Body) => Body;

function drop(name: string): Mutation {
  return (body) => Object.fromEntries(Object.entries(body).filter(([key]) => key !== name));
}

function set(name: string, value: unknown): Mutation {
  // A computed member, so that `__proto__` is one like any other.
  return (body) => ({ ...body, [name]: value });
}

/** One way to make a valid body invalid, or nearly so: a member dropped, retyped, lengthened, added. */
function mutations(schema: JsonSchema): Arbitrary<Mutation> {
  const members = Object.entries(schema.properties ?? {});
  const names = fc.constantFrom(...members.map(([name]) => name));
  const lengths = members.flatMap(([name, member]) => {
    const { maxLength } = member.anyOf?.[0] ?? member;
    return maxLength === undefined ? [] : [maxLength - 1, maxLength, maxLength + 1].map((length) => ({ name, length }));
  });
  const unit = fc.constantFrom('x', '1', ' ', 'é', '😀');
  return fc.oneof(
    names.map(drop),
    fc.tuple(names, anything).map(([name, value]) => set(name, value)),
    fc.tuple(fc.oneof(fc.string(), fc.constantFrom(...NASTY)), anything).map(([name, value]) => set(name, value)),
    ...(lengths.length === 0
      ? []
      : [
          fc
            .tuple(fc.constantFrom(...lengths), unit)
            .map(([{ name, length }, text]) => set(name, text.repeat(length).slice(0, length))),
        ]),
  );
}

/** Bodies that are one mutation away from valid ones. */
export function nearlyValidBodies(
  schema: JsonSchema,
  known: Readonly<Record<string, readonly string[]>>,
): Arbitrary<unknown> {
  const valid = validValues(schema, known) as Arbitrary<Body>;
  return fc.oneof(
    { weight: 9, arbitrary: fc.tuple(valid, mutations(schema)).map(([body, mutate]) => mutate(body)) },
    { weight: 1, arbitrary: anything },
  );
}

/** Values of a header: mostly one that works, otherwise whatever characters a client can send in one. */
export function headerValues(known: string): Arbitrary<string> {
  const visible = Array.from({ length: 0x7f - 0x20 }, (_, at) => String.fromCharCode(0x20 + at));
  return fc.oneof(
    fc.constant(known),
    fc.uuid(),
    fc.string({ minLength: 1, maxLength: LENGTH_MAX, unit: fc.constantFrom(...visible, 'é') }),
    fc.constant('x'.repeat(2_000)),
  );
}

/** Path and query parameters: mostly one that works, otherwise any text. */
export function parameterValues(known: string): Arbitrary<string> {
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant(known) },
    fc.uuid(),
    fc.string({ minLength: 1, maxLength: LENGTH_MAX, unit: 'grapheme' }),
    fc.constantFrom(...NASTY.filter((text) => text !== '' && text.isWellFormed() && text !== '../../etc/passwd')),
    fc.constant('x'.repeat(2_000)),
  );
}
