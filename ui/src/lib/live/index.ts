export * from "./bus";
export * from "./frame";
export * from "./leader";
export * from "./status";
export * from "./use";
