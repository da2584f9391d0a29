// Figures as text: as many digits as a single run can carry. Pure.

/** 213402 as "213,402". */
export function grouped(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ",");
}

/** "1 round", "1,035 rounds". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${grouped(count)} ${count === 1 ? one : many}`;
}

/** Three significant digits: 0.412, 4.12, 41.2, 412; 0.9996 is 1.00 and no 1.000. */
export function short(value: number): string {
  if (value === 0) return "0";
  const size = Number(value.toPrecision(3));
  if (size >= 100) return grouped(value);
  return value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

/** "2.1": how many times. */
export function times(ratio: number): string {
  return ratio >= 10 ? ratio.toFixed(0) : ratio >= 1.995 ? ratio.toFixed(1) : ratio.toFixed(2);
}

/** 0.314 as "31 %". */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** "0:34", "12:05". */
export function clock(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** "about 1 min 40 s", to the nearest 5 s above half a minute. */
export function roughly(ms: number): string {
  const seconds = ms < 30_000 ? Math.ceil(ms / 1000) : Math.round(ms / 5000) * 5;
  if (seconds < 60) return `${seconds} s`;
  return `${Math.floor(seconds / 60)} min${seconds % 60 === 0 ? "" : ` ${seconds % 60} s`}`;
}
