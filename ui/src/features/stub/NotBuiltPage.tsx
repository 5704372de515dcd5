import { useRouterState } from "@tanstack/react-router";
import { Page } from "../../kit/page";
import { Empty } from "../../kit/states";

export default function NotBuiltPage() {
  const path = useRouterState({ select: (state) => state.location.pathname });
  const name = path.split("/")[1] ?? "";
  return (
    <Page title={name.slice(0, 1).toUpperCase() + name.slice(1)}>
      <Empty
        says="This page is not built yet. The command line and the API can do what belongs here."
        command="attune --help"
      />
    </Page>
  );
}
