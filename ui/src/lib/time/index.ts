export * from "./clock";
export * from "./format";
export * from "./zone";
