import { Link } from "@tanstack/react-router";

/** Words of a sentence: text, a name, code, or a link. */
export type Word = string | { ref: string; to?: string } | { code: string } | { strong: string };
export type Sentence = Word[];

export const plain = (sentence: Sentence): string =>
  sentence
    .map((word) => {
      if (typeof word === "string") return word;
      return "ref" in word ? word.ref : "code" in word ? word.code : word.strong;
    })
    .join("");

export function Words({ of }: { of: Sentence }) {
  return (
    <>
      {of.map((word, index) => {
        if (typeof word === "string") return <span key={index}>{word}</span>;
        if ("code" in word) return <code key={index}>{word.code}</code>;
        if ("strong" in word) return <strong key={index}>{word.strong}</strong>;
        return word.to ? (
          <Link key={index} to={word.to} className="mono">
            {word.ref}
          </Link>
        ) : (
          <span key={index} className="mono">
            {word.ref}
          </span>
        );
      })}
    </>
  );
}
