// What a micro bench is: one hot operation of the engine, repeated inside a call so that the clock costs
// nothing.

export interface MicroCase {
  /** Names the operation and its size; unique. */
  readonly name: string;
  /** Operations done by one call of run. */
  readonly ops: number;
  /** Bytes that one operation goes over: the table then has GB/s. */
  readonly bytes?: number;
  /** Leaves the state as it found it, so that every call measures the same. */
  run(): void;
}

/** Builds its cases when it is asked, so that suites that are not run cost nothing. */
export type MicroSuite = () => MicroCase[];

let sink = 0;

/** Uses a result, so that the optimizer can't drop what computed it. */
export function consume(value: number): void {
  sink += value;
}

/** For the report of a smoke run: proves that something was consumed. */
export function consumed(): number {
  return sink;
}
