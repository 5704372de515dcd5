import { clsx } from "clsx";
import { Words } from "../../kit/sentence";
import type { Fact } from "./narrate";

interface Props {
  facts: Fact[];
  live: boolean;
  selected: string | undefined;
  onSelect: (id: string) => void;
}

/** The narrative: one sentence per fact, in order. Each selects its node. */
export function WordsView({ facts, live, selected, onSelect }: Props) {
  return (
    <ol className="words card" role={live ? "log" : undefined} aria-live={live ? "polite" : undefined}>
      {facts.map(({ node, text }, index) => (
        <li key={index}>
          <button
            type="button"
            className={clsx("words-line", selected === node && "chosen")}
            onClick={() => onSelect(node)}
          >
            <span className="num meta">{index + 1}</span>
            <span>
              <Words of={text} />
            </span>
          </button>
        </li>
      ))}
    </ol>
  );
}
