import { QueryClient } from "@tanstack/react-query";
import { asProblem } from "./problem";

const again = (status: number) => status === 0 || status === 502 || status === 503;

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      gcTime: 300_000,
      refetchOnWindowFocus: false,
      retry: (count, error) => {
        const failed = asProblem(error);
        return count < 3 && again(failed.problem.status) && failed.kind !== "overloaded";
      },
      retryDelay: (count, error) => {
        const seconds = asProblem(error).retryAfter;
        return seconds ? seconds * 1000 : 500 * 2 ** count + Math.random() * 250;
      },
    },
  },
});
