// What a planted fault is.

export interface Planted {
  readonly name: string;
  readonly profile: string;
  readonly nodes?: number;
  readonly lease?: boolean;
  /** Checkers that may be the first to see it. */
  readonly checkers: RegExp;
  /** Puts the fault in; the result takes it out. */
  apply(): () => void;
}

// biome-ignore lint/suspicious/noExplicitAny: private members are the point.
export type Inside = any;
