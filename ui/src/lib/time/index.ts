export * from "./clock";
export * from "./format";
export * from "./local";
export * from "./zone";
