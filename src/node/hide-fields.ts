// What console.log and errors' reports show of an object that has secrets somewhere among its fields. Pure.
import { inspect } from "node:util";

/** Instances show as their name and what their toJSON() gives. Apart from the class: its type needs none of Node's. */
export function hideFields(type: { readonly name: string; readonly prototype: { toJSON(): unknown } }): void {
  Object.defineProperty(type.prototype, inspect.custom, {
    value(this: { toJSON(): unknown }, _depth: number, options: object): string {
      return `${type.name} ${inspect(this.toJSON(), options)}`;
    },
  });
}
