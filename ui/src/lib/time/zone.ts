import { preferences } from "../preferences";
import { useStore } from "../store";

export const browserZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

export function zoneOf(choice: string): string {
  if (choice === "mine") return browserZone();
  return choice === "utc" ? "UTC" : choice;
}

/** The zone that the whole app shows. */
export const useZone = (): string => zoneOf(useStore(preferences).zone);

/** The name people use: `Europe/Berlin` is Berlin. */
export function zoneName(zone: string): string {
  if (zone === "UTC" || zone === "Etc/UTC") return "UTC";
  return (zone.split("/").at(-1) ?? zone).replaceAll("_", " ");
}

export const zones = (): string[] => ["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")];
