// The type of JSON values. Types only.

/** A JSON value of the strict reader: objects have no prototype's names, and no name twice. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: JsonValue;
}
