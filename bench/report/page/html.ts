// HTML as a tagged template: whatever is interpolated is text and is escaped, unless it is HTML made here. Pure.

const RAW = Symbol("html");

/** Text that is HTML and safe to place in a page. */
export interface Html {
  readonly [RAW]: string;
}

type Piece = Html | string | number | null | readonly Piece[];

/** html`<b>${text}</b>`: text is escaped, Html and lists of it are placed as they are, null is nothing. */
export function html(parts: TemplateStringsArray, ...values: readonly Piece[]): Html {
  let text = parts[0];
  values.forEach((value, i) => {
    text += placed(value) + parts[i + 1];
  });
  return { [RAW]: text };
}

export const NOTHING: Html = html``;

export function toText(piece: Html): string {
  return piece[RAW];
}

function placed(value: Piece): string {
  if (value === null) return "";
  if (typeof value === "object") return isList(value) ? value.map(placed).join("") : value[RAW];
  return escapeHtml(String(value));
}

function isList(value: Html | readonly Piece[]): value is readonly Piece[] {
  return Array.isArray(value);
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ENTITIES[char]);
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** A value as the content of a JSON script element: no text in it can end the element or open a comment. */
export function jsonFor(value: unknown): Html {
  return { [RAW]: JSON.stringify(value).replace(/</g, "\\u003c") };
}

/** Script or style sheet of ours, placed whole. Throws if it would end its own element. */
export function verbatim(text: string, element: "script" | "style"): Html {
  if (text.toLowerCase().includes(`</${element}`))
    throw new Error(`the page's ${element} contains its own end`);
  return { [RAW]: text };
}
