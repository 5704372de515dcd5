import { Page } from "../../kit/page";
import { Empty, Loaded } from "../../kit/states";
import { AttentionList } from "./AttentionList";
import { type AttentionItem, useAttention } from "./api";

export default function AttentionPage() {
  const query = useAttention();
  const count = query.data?.length ?? 0;
  return (
    <Page title={count > 0 ? `▲ ${count} need attention` : "Attention"} heading="Attention">
      <Loaded query={query}>
        {(items) =>
          items.length === 0 ? (
            <Empty text="Nothing needs attention." />
          ) : (
            <div className="col loose">
              <Group name="Broken" items={items.filter((item) => item.severity === "bad")} />
              <Group name="Worth checking" items={items.filter((item) => item.severity !== "bad")} />
            </div>
          )
        }
      </Loaded>
    </Page>
  );
}

function Group({ name, items }: { name: string; items: AttentionItem[] }) {
  if (items.length === 0) return null;
  return (
    <section className="card">
      <header>
        <h2>
          {name} ({items.length})
        </h2>
      </header>
      <AttentionList items={items} />
    </section>
  );
}
