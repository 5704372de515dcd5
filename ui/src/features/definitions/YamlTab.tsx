import { lazy, Suspense } from "react";
import { Skeleton } from "../../kit/states";

const Yaml = lazy(() => import("./Yaml"));

export function YamlTab({ definition }: { definition: object }) {
  return (
    <div style={{ paddingTop: 12 }}>
      <Suspense fallback={<Skeleton />}>
        <Yaml definition={definition} />
      </Suspense>
    </div>
  );
}
