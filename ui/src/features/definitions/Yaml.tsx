import { stringify } from "yaml";
import { Button } from "../../kit/button";
import { copyText } from "../../kit/copy";
import { written } from "./words";

/** A definition as a file of a pack has it. Loaded only when it is shown. */
export default function Yaml({ definition }: { definition: object }) {
  const text = stringify(written(definition), { lineWidth: 100 });
  return (
    <section className="card">
      <header>
        <h2>YAML</h2>
        <span className="push" />
        <Button small onClick={() => copyText(text, "YAML")}>
          Copy
        </Button>
      </header>
      <pre className="code">{text}</pre>
    </section>
  );
}
