// Renders /api/v1/openapi.json. It uses textContent only, so nothing in the document is interpreted as HTML.
"use strict";

const element = (name, attributes, ...children) => {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
};
const code = text => element("code", {textContent: text});
// Text in which `…` is code.
const prose = (name, text) => element(name, {}, ...(text ?? "").split("`").map((part, at) => at % 2 ? code(part) : part));
const section = (title, ...children) => [element("h4", {textContent: title}), ...children];
const pre = text => element("pre", {textContent: text});
const json = value => pre(JSON.stringify(value, null, 2));

const at = (api, reference) => reference.slice(2).split("/").reduce((value, part) => value[part], api);
const deref = (api, value) => value?.$ref ? at(api, value.$ref) : value;

// A schema with its references resolved, each once on a path, so that it can be read without jumping.
const resolve = (api, schema, seen = []) => {
  if (Array.isArray(schema)) return schema.map(item => resolve(api, item, seen));
  if (!schema || typeof schema !== "object") return schema;
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return seen.includes(name) ? name : resolve(api, at(api, schema.$ref), [...seen, name]);
  }
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, resolve(api, value, seen)]));
};

// An example value of a schema, for bodies and responses without a written one.
const example = (api, schema, depth = 0) => {
  schema = deref(api, schema) ?? {};
  if (depth > 6) return null;
  if (schema.example !== undefined) return schema.example;
  if (schema.examples) return schema.examples[0];
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return example(api, choices.find(choice => choice.type !== "null") ?? {}, depth + 1);
  const type = [].concat(schema.type).find(name => name !== "null");
  if (type === "object" || schema.properties)
    return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, field]) => [name, example(api, field, depth + 1)]));
  if (type === "array") return [example(api, schema.items, depth + 1)];
  if (type === "integer" || type === "number") return schema.minimum > 0 ? schema.minimum : 0;
  if (type === "boolean") return true;
  if (type === "string") {
    if (schema.format === "date-time") return "2027-01-20T15:00:00Z";
    if (schema.format === "uuid") return "0190a5e4-7c2b-7000-8000-000000000000";
    return "text";
  }
  return null;
};

const typeOf = (api, schema) => {
  schema = deref(api, schema) ?? {};
  const bounds = [];
  if (schema.enum) bounds.push(schema.enum.join(" | "));
  if (schema.minimum !== undefined && schema.maximum !== undefined && schema.maximum < 2 ** 53) bounds.push(`${schema.minimum} to ${schema.maximum}`);
  // A pattern such as ^(a|b)(,(a|b))*$ lists the values; that several are allowed is in the description.
  const values = /^\^\(([\w|]+)\)\(,\(\1\)\)\*\$$/.exec(schema.pattern);
  if (values) bounds.push(values[1].replaceAll("|", " | "));
  else if (schema.examples) bounds.push(`such as ${schema.examples[0]}`);
  else if (schema.pattern) bounds.push(schema.pattern);
  if (schema.default !== undefined) bounds.push(`default ${JSON.stringify(schema.default)}`);
  return [[].concat(schema.type ?? "any").join(" | "), schema.format, ...bounds].filter(Boolean).join(", ");
};

const parametersTable = (api, parameters) => {
  const rows = parameters.map(parameter => element("tr", {},
    element("td", {}, code(parameter.name)),
    element("td", {textContent: parameter.in + (parameter.required ? ", required" : "")}),
    element("td", {textContent: typeOf(api, parameter.schema)}),
    prose("td", parameter.description)));
  const head = element("tr", {}, ...["name", "in", "type", "description"].map(text => element("th", {textContent: text})));
  return element("table", {}, head, ...rows);
};

const schemaBlock = (api, schema) => element("details", {},
  element("summary", {textContent: "Schema"}), json(resolve(api, schema)));

const bodyOf = (api, body) => {
  const content = Object.entries(body.content)[0];
  if (!content) return [];
  const [type, media] = content;
  const shown = media.example ?? example(api, media.schema);
  return section(`Body (${type}${body.required ? ", required" : ""})`, json(shown), schemaBlock(api, media.schema));
};

const answerOf = (api, status, response) => {
  response = deref(api, response);
  const children = [prose("p", response.description)];
  const headers = Object.keys(response.headers ?? {});
  if (headers.length) children.push(element("p", {className: "quiet", textContent: "Headers: " + headers.join(", ")}));
  for (const [type, media] of Object.entries(response.content ?? {})) {
    if (!media.schema) continue;
    if (type.endsWith("json")) children.push(json(example(api, media.schema)), schemaBlock(api, media.schema));
    else children.push(element("p", {textContent: type}));
  }
  return element("details", {open: status.startsWith("2")}, element("summary", {textContent: `Response ${status}`}), ...children);
};

const operationOf = (api, path, method, shared, operation) => {
  const id = operation.operationId;
  const parameters = [...(operation.parameters ?? []), ...shared].map(parameter => deref(api, parameter));
  const details = element("details", {id},
    element("summary", {},
      element("span", {className: "method", textContent: method.toUpperCase()}), code(path), " ",
      element("span", {className: "quiet", textContent: `${operation.summary} · ${operation["x-right"]}`})),
    prose("p", operation.description),
    ...(operation["x-codeSamples"] ?? []).flatMap(sample => section(sample.label, pre(sample.source))));
  if (parameters.length) details.append(...section("Parameters", parametersTable(api, parameters)));
  if (operation.requestBody) details.append(...bodyOf(api, operation.requestBody));
  for (const [status, response] of Object.entries(operation.responses)) details.append(answerOf(api, status, response));
  const link = element("li", {}, element("a", {href: `#${id}`, textContent: operation.summary}));
  const text = [path, method, operation.summary, operation.description, ...parameters.map(one => one.name)].join(" ").toLowerCase();
  return {details, link, text};
};

const openTarget = () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target?.tagName === "DETAILS") target.open = true;
  target?.scrollIntoView();
};

const show = async () => {
  const root = document.getElementById("operations");
  const contents = document.getElementById("contents");
  const answer = await fetch("/api/v1/openapi.json");
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  const api = await answer.json();
  document.getElementById("intro").replaceWith(prose("p", api.info.description));
  const groups = new Map(api.tags.map(tag => [tag.name, {tag, operations: []}]));
  for (const [path, item] of Object.entries(api.paths))
    for (const [method, operation] of Object.entries(item))
      if (method !== "parameters")
        groups.get(operation.tags[0]).operations.push(operationOf(api, path, method, item.parameters ?? [], operation));
  root.textContent = "";
  root.removeAttribute("aria-busy");
  const all = [];
  for (const {tag, operations} of groups.values()) {
    const part = element("section", {id: tag.name},
      element("h2", {textContent: tag.name}), prose("p", tag.description),
      ...operations.map(one => one.details));
    const entry = element("li", {}, element("a", {href: `#${tag.name}`, textContent: tag.name}),
      element("ul", {}, ...operations.map(one => one.link)));
    root.append(part);
    contents.append(entry);
    all.push({part, entry, operations});
  }
  const search = document.getElementById("search");
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const {part, entry, operations} of all) {
      let inGroup = 0;
      for (const one of operations) {
        const hit = words.every(word => one.text.includes(word));
        one.details.hidden = one.link.hidden = !hit;
        inGroup += hit;
      }
      part.hidden = entry.hidden = inGroup === 0;
      found += inGroup;
    }
    document.getElementById("count").textContent = `${found} operations`;
  };
  search.addEventListener("input", filter);
  filter();
  addEventListener("hashchange", openTarget);
  openTarget();
};

show().catch(error => {
  document.getElementById("operations").textContent = `The document could not be loaded (${error.message}).`;
});
