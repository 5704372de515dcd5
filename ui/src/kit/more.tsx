import { useCallback, useRef } from "react";

interface Pages {
  hasNextPage: boolean;
  isFetchingNextPage: boolean;
  fetchNextPage: () => unknown;
}

/** Loads older rows when its place comes into view. */
export function More({ query, what }: { query: Pages; what: string }) {
  const latest = useRef(query);
  latest.current = query;
  const watch = useCallback((element: HTMLButtonElement | null) => {
    if (!element) return;
    const observer = new IntersectionObserver(([entry]) => {
      const { hasNextPage, isFetchingNextPage, fetchNextPage } = latest.current;
      if (entry?.isIntersecting && hasNextPage && !isFetchingNextPage) void fetchNextPage();
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  if (!query.hasNextPage) return null;
  return (
    <button type="button" ref={watch} className="btn plain" onClick={() => void query.fetchNextPage()}>
      {query.isFetchingNextPage ? `Loading older ${what}…` : `Load older ${what}`}
    </button>
  );
}
