const format = new Intl.NumberFormat("en");

/** `12,480`. */
export const grouped = (n: number): string => format.format(n);

/** `18 KB`, `1.2 MB`. */
export function bytes(n: number): string {
  if (n < 1_000) return `${n} B`;
  if (n < 1_000_000) return `${Math.round(n / 1_000)} KB`;
  return `${(n / 1_000_000).toFixed(1)} MB`;
}
