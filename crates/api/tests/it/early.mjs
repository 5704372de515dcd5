// The same with the `fetch` of Node. Arguments: port, token, path of a webhook. Prints a line for each case that went wrong.
const [port, token, hook] = process.argv.slice(2);
const json = { "content-type": "application/json" };
const cases = [
  [413, "POST", "/auth/login", json],
  [413, "POST", "/api/v1/packs", { ...json, authorization: `Bearer ${token}` }],
  [413, "POST", hook, json],
  [401, "POST", "/api/v1/packs", json],
  [404, "POST", "/nowhere", json],
  [405, "PUT", "/auth/login", json],
];
for (const [status, method, path, headers] of cases) {
  for (const size of [1_200_000, 8_000_000]) {
    try {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers, body: " ".repeat(size) });
      await answer.text();
      if (answer.status !== status) console.log(`${method} ${path} ${size}: ${answer.status} in place of ${status}`);
    } catch (error) {
      console.log(`${method} ${path} ${size}: ${error} ${error.cause}`);
    }
  }
}
console.log("done");
