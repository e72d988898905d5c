/** A JSON value as our reader makes it: objects have a null prototype and no duplicate names. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: JsonValue;
}
