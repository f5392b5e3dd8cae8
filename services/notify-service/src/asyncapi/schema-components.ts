/** A schema, or a part of one, as it stands in a document. */
export type JsonSchema = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The named schemas of a document. A schema with an `$id` is put among the components under that name and referred to
 * from wherever it stands; one without is written out where it is used.
 */
export class SchemaComponents {
  readonly #named = new Map<string, JsonSchema>();

  /** What to write in the place of a schema. */
  place(schema: unknown): JsonSchema {
    const placed = this.#copy(schema);
    if (!isObject(placed)) throw new TypeError('a schema is an object');
    return placed;
  }

  /** Every schema that was placed and has a name. */
  toJson(): Record<string, JsonSchema> {
    return Object.fromEntries(this.#named);
  }

  #copy(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((item) => this.#copy(item));
    if (!isObject(value)) return value;
    const { $id: name, ...members } = value;
    // `const` and `examples` hold values, not schemas; copying them as if they were changes nothing in them.
    const copy = Object.fromEntries(Object.entries(members).map(([key, member]) => [key, this.#copy(member)]));
    if (typeof name !== 'string') return copy;
    this.#named.set(name, copy);
    return { $ref: `#/components/schemas/${name}` };
  }
}
