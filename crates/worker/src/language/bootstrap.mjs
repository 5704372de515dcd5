// Runs a JavaScript action. Attune starts it as `node --input-type=module -e <this> text|file <source or path>`.
//
// The protocol: parameters are one JSON object on standard input, the result is one JSON value on descriptor 3, and standard
// output and standard error are the log. A module that exports a function `run` gets the parameters as its argument, and what
// it returns is the result. Any other program runs as it is and reads standard input itself.
import { readFileSync, writeSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [kind, entry] = process.argv.slice(1);
process.argv.splice(1);
const url =
  kind === "file" ? pathToFileURL(entry).href : `data:text/javascript;charset=utf-8,${encodeURIComponent(entry)}`;
const module = await import(url);
const run = module.run ?? module.default?.run;
if (typeof run === "function") {
  const value = await run(JSON.parse(readFileSync(0, "utf8")));
  const text = JSON.stringify(value === undefined ? null : value);
  if (text === undefined) {
    throw new TypeError("run() returned a value that is not JSON");
  }
  let data = Buffer.from(text);
  while (data.length > 0) {
    try {
      data = data.subarray(writeSync(3, data));
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}
