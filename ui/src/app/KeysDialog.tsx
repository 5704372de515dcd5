import { Dialog } from "../kit/dialog";
import { KeyHint } from "../kit/keyhint";
import { keyGroups } from "../lib/keys";
import { useStore } from "../lib/store";

export function KeysDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const groups = useStore(keyGroups);
  return (
    <Dialog open={open} onClose={onClose} title="Keys">
      <p className="meta">Keys of one letter can be turned off in My settings.</p>
      {groups
        .filter((group) => group.bindings.length > 0)
        .map((group, index) => (
          <section key={index} className="col">
            <h3>{group.name}</h3>
            <dl className="facts">
              {group.bindings.map(({ keys, text }) => (
                <div key={keys} className="keys-row">
                  <dt>
                    <KeyHint keys={keys} />
                    <span className="hidden-text">{keys}</span>
                  </dt>
                  <dd>{text}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
    </Dialog>
  );
}
