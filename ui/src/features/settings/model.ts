import type { Health } from "./api";

export interface Part {
  name: string;
  status: string;
  detail: Record<string, unknown>;
}

/** The parts of the health, the ones that are not well first. */
export function partsOf(health: Health): Part[] {
  const parts = Object.entries(health).flatMap(([name, value]) => {
    if (value == null || typeof value !== "object" || Array.isArray(value)) return [];
    const { status, ...detail } = value as Record<string, unknown>;
    return [{ name, status: typeof status === "string" ? status : "unknown", detail }];
  });
  return parts.sort((a, b) => Number(a.status === "ok") - Number(b.status === "ok") || a.name.localeCompare(b.name));
}
