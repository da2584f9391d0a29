// Dates of certificates in messages. Pure.

export function dayOf(time: string): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** Of a certificate that does not count yet: with both to the minute, as it is the clock that is wrong more often. */
export function startText(validFrom: string, now: number): string {
  const minuteOf = (time: string | number) => `${new Date(time).toISOString().slice(0, 16)}Z`;
  return `counts only from ${minuteOf(validFrom)} on, and by this machine's clock it is ${minuteOf(now)}`;
}
